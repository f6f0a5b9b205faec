#!/usr/bin/env bash
# Checks the libraries, and a program that uses the derive, with the oldest Rust that Cargo.toml promises.
#
# The compiler is Debian's own package of that version, unpacked beside the build; nothing is installed. Where it cannot
# be had, the check is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
home=$PWD/target/msrv
if [ ! -x "$home/usr/bin/rustc" ]; then
  mkdir -p "$home"
  if [ "$(id -u)" = 0 ]; then apt-get update -qq || true; fi
  version=$(apt-cache madison rustc-web | awk -v msrv="$msrv" 'index($3, msrv ".") == 1 { print $3; exit }')
  if [ -z "$version" ]; then
    echo "SKIPPED: the check with Rust $msrv: there is no package of that version here"
    exit 0
  fi
  (
    cd "$home"
    apt-get download -qq "rustc-web=$version" "libstd-rust-web-dev=$version" "libstd-rust-web-$msrv=$version" libllvm19 libz3-4
    for package in *.deb; do dpkg -x "$package" .; done
    rm -- *.deb
  )
fi
export LD_LIBRARY_PATH=$home/usr/lib/x86_64-linux-gnu:$home/usr/lib/llvm-19/lib
export RUSTC=$home/usr/bin/rustc CARGO_TARGET_DIR=$PWD/target/msrv-build
"$RUSTC" --version
cargo check --locked -p slipring
cargo check --locked -p multi-binary --bins
