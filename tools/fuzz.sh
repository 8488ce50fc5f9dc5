#!/bin/sh
# Fuzzes every target, or those that are named, for so many seconds each, and ends with lines for fuzz/LOG.md.
# Usage: [SANITIZER=address] tools/fuzz.sh SECONDS [TARGET...]
set -eu
cd "$(dirname "$0")/.."

seconds="${1:-60}"
[ "$#" -gt 0 ] && shift
[ "$#" -gt 0 ] || set -- head target chunked connection response range options

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing; install it and try again:" >&2
    echo "    cargo install --locked cargo-fuzz@0.13.1" >&2
    exit 1
fi

cargo run -q -p kirsch-fuzz -- fuzz
# Without a sanitizer the stable toolchain will do as it is, and what is tried here has no unsafe of its own;
# its dependencies have, so another one may be asked for.
sanitizer="${SANITIZER:-none}"
[ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
lines=""
for target in "$@"; do
    log="fuzz/target/$target.log"
    mkdir -p fuzz/target
    echo "$target: $seconds s, in $log"
    # The files of options are read from disk, so that they are slower and smaller.
    [ "$target" = options ] && most=1024 || most=4096
    if ! cargo fuzz run --sanitizer "$sanitizer" "$target" -- \
        -max_total_time="$seconds" -dict="fuzz/dictionary/$target" -max_len="$most" \
        -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1
    then
        tail -n 40 "$log" >&2
        exit 1
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    megabytes=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    covered=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 | \2 | \3/p' "$log" | tail -n 1)
    lines="$lines| $(date +%F) | \`$target\` | $seconds | $executions | $covered | $megabytes | none |
"
done
echo
echo "| date | target | seconds | executions | edges | features | corpus | peak MiB | findings |"
echo "|---|---|---|---|---|---|---|---|---|"
printf '%s' "$lines"
