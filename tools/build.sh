#!/bin/bash
# Builds one configuration: tools/build.sh release|debug|asan|tsan|fuzz [ninja arguments]
# ASan and fuzz use clang, the others the default compiler (gcc), so that every test run compiles
# everything with both.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-release}
shift || true
case $kind in
release) dir=build options=(--buildtype=debugoptimized --prefix="${PREFIX:-/usr/local}") ;;
debug) dir=build-debug options=(--buildtype=debug) ;;
asan)
    dir=build-asan options=(-Db_sanitize=address,undefined -Db_lundef=false)
    export CC=clang CFLAGS=-fno-sanitize-recover=undefined
    ;;
tsan) dir=build-tsan options=(-Db_sanitize=thread -Db_lundef=false) ;;
fuzz)
    dir=build-fuzz options=(-Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false)
    export CC=clang CFLAGS=-fno-sanitize-recover=undefined
    ;;
*)
    echo "tools/build.sh: no configuration named $kind" >&2
    exit 2
    ;;
esac
[ -e $dir/build.ninja ] || meson setup "$dir" "${options[@]}"
exec ninja -C $dir "$@"
