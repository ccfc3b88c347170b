# Run by cpack on the tree it packs: what Debian wants otherwise than cmake --install does it.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
file(RENAME ${share}/doc/platter/CHANGELOG.md ${share}/doc/platter/changelog)
file(RENAME ${share}/doc/platter/LICENSE ${share}/doc/platter/copyright)
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)
file(GLOB pages ${share}/man/man*/*)
execute_process(COMMAND gzip -9n ${pages} ${share}/doc/platter/changelog COMMAND_ERROR_IS_FATAL ANY)
