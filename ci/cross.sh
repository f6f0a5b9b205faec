#!/usr/bin/env bash
# Other platforms than this machine's, as far as they can be had here:
#
# - type-checks the library for Windows and macOS;
# - builds the core's own tests and those of two processes for i686 and aarch64 and runs them, the latter in an emulator:
#   Linux's own backend;
# - builds the same for Windows and runs them under wine: the portable backend;
# - has a 32-bit and a 64-bit process meet at one channel of each kind.
#
# `ci/cross.sh all` runs all of the core's tests for i686, which takes some minutes more.
#
# The standard library is built from the sources of Debian's compiler. Debian's packages are installed, which takes root; a
# part whose packages cannot be had is skipped, and says so. macOS is not run, and FreeBSD not even built: a dependency of
# `shared_memory` does not build for it.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  all) tests=--tests ;;
  *) tests="--test two_processes" ;;
esac

skip() { echo "SKIPPED: other platforms: $*"; }

# Installs packages unless they are there.
have() {
  dpkg -s "$@" >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || return
  apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

[ "$(uname -m)" = x86_64 ] || { skip "this is no x86-64"; exit 0; }
have rustc-web rust-web-src || { skip "there is no compiler with its sources here"; exit 0; }
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/cross
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
"$RUSTC" --version

# Cargo for the target $1.
cross() {
  local target=$1
  shift
  cargo "$@" -q --locked -Zbuild-std=std,panic_unwind,test --target "$target"
}

# Builds tests for the target $1, and prints their executables.
executables() {
  local target=$1
  shift
  cross "$target" test -p ipc-core --no-run --message-format json "$@" |
    sed -n 's/.*"reason":"compiler-artifact".*"executable":"\([^"]*\)".*/\1/p'
}

# Runs the executables on standard input, each by the command $@. Tests whose names are in $skipped are left out.
run() {
  local executable count=0
  while read -r executable; do
    # What it may leave is its own: the emulators have no standard input to share.
    timeout 300 "$@" "$executable" -q ${skipped:+$(printf -- ' --skip %s' $skipped)} </dev/null
    count=$((count + 1))
  done
  [ "$count" -gt 0 ] || { echo "there was nothing to run"; exit 1; }
}

check() {
  cross "$1" check -p slipring --features async
  echo "checked: $1"
}
check aarch64-apple-darwin
# The standard library's import libraries are made by a tool of the other platform's.
if have binutils-mingw-w64-x86-64; then check x86_64-pc-windows-gnu; else skip "no Windows"; fi

i686() {
  have gcc-i686-linux-gnu libc6-dev-i386-cross || { skip "no i686"; return; }
  export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc
  export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Clink-arg=-Wl,-dynamic-linker,/usr/i686-linux-gnu/lib/ld-linux.so.2 -Clink-arg=-Wl,-rpath,/usr/i686-linux-gnu/lib"
  executables i686-unknown-linux-gnu --lib $tests >"$work/i686"
  grep -v '/ui-' "$work/i686" | run
  echo "run: i686"

  # The 64-bit executable of the same test comes from the compiler that builds everything else.
  local narrow wide
  narrow=$(grep '/two_processes-' "$work/i686")
  wide=$(env -u RUSTC -u RUSTC_BOOTSTRAP CARGO_TARGET_DIR=target cargo test -q --locked -p ipc-core --test two_processes \
    --no-run --message-format json | sed -n 's/.*"reason":"compiler-artifact".*"executable":"\([^"]*\)".*/\1/p')
  SLIPRING_TEST_PARTNER=$narrow run <<<"$wide"
  SLIPRING_TEST_PARTNER=$wide run <<<"$narrow"
  echo "met: 32 and 64 bits"
}

aarch64() {
  have gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static || { skip "no aarch64"; return; }
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  executables aarch64-unknown-linux-gnu --lib --test two_processes >"$work/aarch64"
  # Without what the emulator cannot do (futex_waitv), and what takes minutes in it and has to do with no processor.
  skipped="a_wait_ends_with_its_limit lookout oracle hostile subscribers_get_every threads" \
    SLIPRING_TEST_PARTNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu $(grep /two_processes- "$work/aarch64")" \
    run qemu-aarch64-static -L /usr/aarch64-linux-gnu <"$work/aarch64"
  echo "run: aarch64"
}

windows() {
  have gcc-mingw-w64-x86-64 wine64 || { skip "no Windows"; return; }
  executables x86_64-pc-windows-gnu --lib --test two_processes >"$work/windows"
  local directory wine
  directory=$work/run
  mkdir "$directory"
  xargs cp -t "$directory" <"$work/windows"
  cp /usr/lib/gcc/x86_64-w64-mingw32/*-win32/libgcc_s_seh-1.dll "$directory"
  # This wine has no source of random numbers of that name, but one of another.
  cat >"$work/random.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
C
  x86_64-w64-mingw32-gcc -shared -O1 -o "$directory/bcryptprimitives.dll" "$work/random.c" -ladvapi32
  wine=$(command -v wine64 || echo /usr/lib/wine/wine64)
  export WINEPREFIX=$work/wine WINEDEBUG=-all
  # The rings know of no system, and have been run for this processor.
  find "$directory" -name '*.exe' | skipped=ring:: run "$wine"
  echo "run: Windows"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
i686
aarch64
windows
