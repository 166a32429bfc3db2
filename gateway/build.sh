#!/bin/bash
# Builds ngx_http_banyan_module.so for the nginx whose sources are in NGINX_SRC:
#
#   gateway/build.sh OUT.so [--with-debug ...]
#
# NGINX_SRC: by default what Debian's nginx-dev installs. For another package, unpack the sources of
# exactly that version; it must have been built --with-compat (nginx -V tells). CC, BANYAN_CFLAGS and
# BANYAN_LDFLAGS are passed on (sanitizers).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=$(realpath -m "${1:?where the module goes}")
shift
src=${NGINX_SRC:-/usr/share/nginx/src}
[ -x "$src/configure" ] || {
    echo "gateway/build.sh: no nginx sources in $src: install nginx-dev, or set NGINX_SRC" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$src/." "$work"
cd "$work"
export BANYAN_ROOT=$root
./configure --with-compat --with-http_ssl_module --with-http_v2_module --with-threads \
    --with-cc="${CC:-cc}" \
    --with-cc-opt="-O2 -g -std=gnu17 -D_GNU_SOURCE ${BANYAN_CFLAGS:-}" \
    --with-ld-opt="${BANYAN_LDFLAGS:-}" \
    --add-dynamic-module="$root/gateway" "$@" >configure.log || {
    tail -20 configure.log >&2
    exit 1
}
make -s -f objs/Makefile -j "$(nproc)" modules >make.log 2>&1 || {
    tail -40 make.log >&2
    exit 1
}
mkdir -p "$(dirname "$out")"
install -m 644 objs/ngx_http_banyan_module.so "$out.new"
mv "$out.new" "$out"
