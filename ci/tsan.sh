#!/usr/bin/env bash
# Runs the tests of the rings between threads (those with `threads` in their names) under ThreadSanitizer, twice:
#
# - as they are: nothing may be reported;
# - with every Release withheld (`ipc-core/src/atomics/withheld.rs`): each of them must be reported as a data race, or
#   it could not have noticed one.
#
# The payloads are plain memory here (`ipc-core/src/ring/payload.rs`), so what makes the accesses to them no race can
# only be the orderings of the ring. ThreadSanitizer does not understand fences: a ring that orders its payloads by one
# is reported, and needs an ordering on the atomic itself. It knows addresses, not memory: two ends that map the same
# file twice are strangers to it, so the tests of whole channels would show nothing, and neither would those of waiting,
# which share nothing but atomics and are ordered by membarrier.
#
# ThreadSanitizer has to see the standard library too, so this needs a compiler with its sources, and the sanitizer's
# runtime of the same LLVM. Both are Debian's packages, unpacked beside the build; nothing is installed. Where they
# cannot be had, the check is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

# Rings whose readers copy a payload first and check afterwards whether it was theirs to read: their payloads are atomic
# by design, so no race can be reported. An extended regular expression for names of tests.
optimistic='ring::(latest|broadcast|broadcast_frames)::'

oldest=1.96
target=x86_64-unknown-linux-gnu
home=$PWD/target/tsan

skip() {
  echo "SKIPPED: ThreadSanitizer: $*"
  exit 0
}

# Unpacks the compiler, its sources and the runtime into $home.
unpack() {
  local rust version llvm
  if [ "$(id -u)" = 0 ]; then apt-get update -qq || true; fi
  version=$(apt-cache madison rustc-web 2>/dev/null | awk 'NR == 1 { print $3 }' || true)
  [ -n "$version" ] && dpkg --compare-versions "$version" ge "$oldest" ||
    skip "there is no package rustc-web of version $oldest or later here"
  rust=$(cut -d. -f1,2 <<<"$version")
  llvm=$(apt-cache depends "libstd-rust-web-$rust" | sed -n 's/.*Depends: libllvm\([0-9]*\)$/\1/p')
  mkdir -p "$home/packages"
  (
    cd "$home/packages"
    apt-get download -qq "rustc-web=$version" "libstd-rust-web-dev=$version" "libstd-rust-web-$rust=$version" \
      "rust-web-src=$version" "libllvm$llvm" libz3-4 "libclang-rt-$llvm-dev"
  ) || skip "the packages cannot be fetched"
  for package in "$home"/packages/*.deb; do dpkg -x "$package" "$home"; done
  rm -r "$home/packages"
}

[ "$(uname -m)" = x86_64 ] || skip "this is no x86-64"
runtime() { find "$home/usr/lib" -name libclang_rt.tsan-x86_64.a 2>/dev/null; }
if [ -d "$home/packages" ] || [ -z "$(runtime)" ]; then unpack; fi

# A linker of our own: the runtime comes whole and before everything that it intercepts, and what it needs itself comes
# last. It is called `cc`, since rustc tells from the name how to speak to it.
cat >"$home/cc" <<LINK
#!/bin/sh
exec cc -Wl,--whole-archive "$(runtime)" -Wl,--no-whole-archive "-Wl,--dynamic-list=$(runtime).syms" "\$@" \
  -lm -lpthread -lc
LINK
chmod +x "$home/cc"

# As flags and not as the target's linker, which would link the procedural macros as well.
flags=(-Zsanitizer=thread -Zexternal-clangrt --cfg slipring_tsan "-Clinker=$home/cc")
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS RUSTC=$home/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$home/build
export LD_LIBRARY_PATH=$home/usr/lib/x86_64-linux-gnu CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
TSAN_OPTIONS=halt_on_error=1:external_symbolizer_path=$(command -v addr2line || true)
export TSAN_OPTIONS
"$RUSTC" --version

threaded() {
  cargo test -q --locked --release -p ipc-core --lib -Zbuild-std --target "$target" -- --test-threads 1 "$@"
}

names=$(threaded threads --list | sed -n 's/: test$//p')
[ -n "$names" ] || { echo "there are no tests to run"; exit 1; }

threaded threads

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for name in $names; do
  if grep -Eq "$optimistic" <<<"$name"; then
    echo "not asked to race: $name"
  elif SLIPRING_WITHHOLD_RELEASE=1 threaded --exact "$name" >"$log" 2>&1 ||
    ! grep -q 'WARNING: ThreadSanitizer: data race' "$log"; then
    echo "NOT REPORTED without Release: $name (does it touch payloads by way of ring/payload.rs?)"
    failed=1
  else
    echo "reported without Release: $name"
  fi
done
exit "$failed"
