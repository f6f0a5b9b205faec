#!/usr/bin/env bash
# Takes every measurement once in a short form, without other libraries: the figures mean nothing, but every message was
# verified, and each work has to report something of Slipring.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build -q --locked --release -p slipring-benches
program=${CARGO_TARGET_DIR:-target}/release/slipring-benches
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

works=$("$program" --help | sed -n '/--only/,/--contestants/p' | grep -o '\[possible values: .*\]' |
  sed 's/.*: //; s/\]//; s/, / /g')
[ -n "$works" ] || { echo "the program names no works"; exit 1; }
for name in $works; do
  "$program" --quick --only "$name" --json "$work/figures" >"$work/table"
  grep -q "\"work\":\"$name\".*\"contestant\":\"slipring\"" "$work/figures" || { echo "$name: no figure"; exit 1; }
done
echo "measured: $works"
