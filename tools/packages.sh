# Sourced by the scripts beside it: which Debian packages a purpose needs, and how they get here.
# shellcheck shell=bash

packages_build=(g++ cmake ninja-build pkg-config libfuse3-dev libfmt-dev libspdlog-dev zlib1g-dev
  libzstd-dev libdeflate-dev libbz2-dev liblzma-dev libpugixml-dev libssl-dev libcli11-dev
  nlohmann-json3-dev)
# Faster compression, where the library knows the processor.
case $(dpkg --print-architecture 2>/dev/null) in
  amd64 | arm64) packages_build+=(libisal-dev) ;;
esac
packages_run=(fuse3 util-linux mount)
packages_package=(dpkg-dev file gzip go-md2man)
packages_demo=(e2fsprogs fdisk)
packages_test=(libgtest-dev libgmock-dev qemu-utils p7zip-full dmg2img libvhdi-utils libvmdk-utils cryptsetup-bin attr bzip2
  gzip procps go-md2man python3
  fio xfsprogs desktop-file-utils shared-mime-info libglib2.0-bin fish zsh
  "${packages_package[@]}")
packages_all=(clang clang-tidy clang-format libclang-rt-14-dev libbenchmark-dev ccache
  qemu-system-common)

say() { printf '\n==> %s\n' "$*"; }

# need PACKAGE…: installs what is missing, by apt-get, with sudo when not root.
need() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "these packages are missing, and there is no sudo to install them: ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}"
}

# build PRESET [CMAKE-OPTION…]: configures and builds build/PRESET.
build() {
  local preset=$1
  shift
  say "building build/$preset"
  cmake --preset "$preset" "$@" >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; rm -f "build-$preset.log"; return 1; }
  rm -f "build-$preset.log"
  cmake --build "build/$preset" -- --quiet
}
