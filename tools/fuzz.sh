#!/bin/bash
# Runs every fuzzer for SECONDS_EACH (default 60) seconds: tools/fuzz.sh [SECONDS_EACH [PARSER]]
# Finds are written to build-fuzz/finds/; add a minimised one to tests/fuzz/seeds/<parser>/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
only=${2:-}

tools/build.sh fuzz
mkdir -p build-fuzz/finds
failed=0 ran=0
for fuzzer in build-fuzz/tests/fuzz/fuzz_*_live; do
    name=$(basename "$fuzzer" _live)
    name=${name#fuzz_}
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    mkdir -p "build-fuzz/corpus/$name"
    echo "== $name, $seconds s"
    ran=$((ran + 1))
    "$fuzzer" -max_total_time="$seconds" -print_final_stats=0 -verbosity=0 -timeout=10 \
        -artifact_prefix="build-fuzz/finds/$name-" "build-fuzz/corpus/$name" \
        "tests/fuzz/seeds/$name" || failed=$((failed + 1))
done
[ $ran -gt 0 ] || { echo "tools/fuzz.sh: no fuzzer ${only:-at all}" >&2; exit 1; }
echo "$((ran - failed)) passed, $failed failed"
[ $failed = 0 ]
