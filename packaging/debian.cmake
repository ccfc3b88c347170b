# `cpack` in the build directory, or tools/package: a package for the Debian it is made on.
set(PLATTER_MAINTAINER "The Platter developers <platter@localhost>" CACHE STRING
    "Who answers for a package that is made")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME platter)
set(CPACK_PACKAGE_CONTACT "${PLATTER_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mount, inspect and convert virtual disk images")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Platter mounts virtual disk images as flat raw files, without root and
without converting them, and has a tool that looks into images, copies,
checks, compares and makes them.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
# The libraries are found by dpkg-shlibdeps; fusermount3 is a program.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS fuse3)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_layout.cmake)
include(CPack)
