#!/usr/bin/env bash
# Shows what a message over the exclusive queue does not cost while nobody sleeps, with `examples/quiet.rs`:
#
# - 100,000 messages are sent and received between two marks, and a trace has no system call there;
# - the machine code of `send` and `try_recv` has no fence and no locked instruction, and calls nothing but what waits,
#   wakes, reports an error, or begins a lap.
#
# A check whose tool cannot be had is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build -q --locked --release --example quiet
program=${CARGO_TARGET_DIR:-target}/release/examples/quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the path of a tracer that works here, if there is one. Debian's package is unpacked beside the build.
tracer() {
  local unpacked=$PWD/target/strace
  if ! command -v strace >/dev/null && [ ! -x "$unpacked/usr/bin/strace" ]; then
    (cd "$work" && apt-get download -qq strace && dpkg -x strace_*.deb "$unpacked") >"$work/fetch" 2>&1 || return 0
  fi
  PATH=$PATH:$unpacked/usr/bin
  strace -o /dev/null true 2>/dev/null && command -v strace || true
}

trace() {
  local strace
  strace=$(tracer)
  if [ -z "$strace" ]; then
    echo "SKIPPED: the trace of system calls: strace cannot be had, or may not trace here"
    return
  fi
  "$strace" -f -o "$work/trace" "$program" 2>/dev/null
  # The marks themselves are system calls. Without both of them nothing has been seen, and that is no success.
  [ "$(grep -Ec 'write\(2, "(quiet from|to) here' "$work/trace")" = 2 ] || { echo "the marks are not in the trace"; exit 1; }
  sed -n '/quiet from here/,/to here/p' "$work/trace" | sed '1d;$d' >"$work/between"
  if [ -s "$work/between" ]; then
    echo "$(wc -l <"$work/between") system calls were made while nobody slept, such as:"
    head -n 5 "$work/between"
    exit 1
  fi
  echo "100,000 messages sent and received: no system call"
}

# Prints the instructions of the function $1, the targets of its calls by name.
code() {
  awk -v wanted="<quiet::$1>:" '
    FILENAME ~ /slots$/ { if ($2 ~ /RELATIVE/) { sub(/.*\+0x0*/, "", $3); sub(/^0+/, "", $1); slot[$1] = $3 } next }
    FILENAME ~ /names$/ { address = $1; sub(/^0+/, "", address); $1 = $2 = ""; name[address] = $0; next }
    /^[0-9a-f]+ </ { inside = index($0, wanted) }
    # A call by way of the table of addresses: objdump names the place in the table, which leads on to the function.
    inside && /(call|jmp) +\*.*# / { at = $0; sub(/.*# /, "", at); sub(/ .*/, "", at); $0 = $0 "  =" name[slot[at]] }
    inside && NF { print }
  ' "$work/slots" "$work/names" "$work/code"
}

# Judges the code of the function $1.
judge() {
  code "$1" >"$work/$1"
  # A function that was not found has nothing wrong with it either.
  grep -q $'\tret' "$work/$1" || { echo "the code of $1 cannot be found"; exit 1; }
  if grep -P '\t(mfence|lfence|sfence|lock\b|syscall|cpuid|xchg\b.*\()' "$work/$1"; then
    echo "that is in $1"
    exit 1
  fi
  # (Of functions that are alike the linker may keep one, under the name of any.)
  if grep -P '\t(call|jmp) ' "$work/$1" | grep -v "<quiet::$1+0x" |
    grep -Ev 'Port<.*>::(wait|step_timed)\b|waiting::word::wake_(all|some)_slow\b|shared::(producer::Producer::claim_one|consumer::Consumer::(claim_one|free_behind_first))\b|exclusive::Consumer::end_lap\b|(send_error|(try_)?recv_(timeout_)?end)\b|core::panicking::'; then
    echo "that is what $1 calls"
    exit 1
  fi
  echo "$1: $(grep -c $'\t' "$work/$1") instructions, no fence, none of them locked"
}

disassemble() {
  if [ "$(uname -m)" != x86_64 ] || ! command -v objdump >/dev/null; then
    echo "SKIPPED: a look at the machine code: this is no x86-64, or there is no objdump"
    return
  fi
  objdump -R "$program" >"$work/slots"
  nm -C "$program" >"$work/names"
  objdump -d -C --no-show-raw-insn "$program" >"$work/code"
  judge quiet_send
  judge quiet_try_recv
}

trace
disassemble
