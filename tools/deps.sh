#!/bin/bash
# Installs what building and testing need and this machine lacks: Debian packages, and a Python
# virtual environment in .venv. Quick and silent where everything is there. BANYAN_NO_DEPS=1 skips
# it (a machine without Debian's packages: install the equivalents of the list by hand).
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${BANYAN_NO_DEPS:-}" = 1 ]; then
    exit 0
fi

packages=(
    gcc libc6-dev make meson ninja-build pkg-config git
    libpq-dev libmongoc-dev libbson-dev libsqlite3-dev libfyaml-dev libxxhash-dev libssl-dev libevent-dev libhiredis-dev zlib1g-dev
    libjs-chart.js chromium nginx-light nginx-dev redis-server wrk
    libcmocka-dev clang clang-format clang-tidy libclang-rt-14-dev llvm
    locales postgresql openssl curl python3 python3-venv util-linux binutils systemd
    maven default-jre-headless unzip xz-utils
)
# Node may come from elsewhere, and then does not go together with Debian's npm.
command -v npm >/dev/null || packages+=(nodejs npm)
venv=.venv
requirements=tests/requirements.txt
no_cluster=/etc/postgresql-common/createcluster.d/banyan-no-cluster.conf
no_service=/usr/sbin/policy-rc.d

fail() {
    echo "tools/deps.sh: $*" >&2
    exit 1
}

missing_packages() {
    # dpkg-query prints nothing for a package that it has never heard of, hence the comparison.
    # (Its exit code is 1 then, which is no failure here.)
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p' || true)
    comm -23 <(printf '%s\n' "${packages[@]}" | sort -u) <(sort -u <<<"$installed")
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_packages() {
    local missing failed=
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "missing packages; as root: apt-get install ${missing[*]}"
    fi
    echo "installing ${missing[*]}" >&2
    # Debian's postgresql starts a cluster of its own on installation; tests and demo make private
    # ones, so none is wanted. Only for this installation: afterwards the machine is as it was.
    as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    # Nor an nginx of the machine: tests run their own. 101 is "not allowed" (invoke-rc.d's manual).
    local policy=
    if [ ! -e $no_service ]; then
        policy=ours
        printf '#!/bin/sh\nexit 101\n' | as_root tee $no_service >/dev/null
        as_root chmod 755 $no_service
    fi
    as_root apt-get -q update >&2 || echo "going on with the package lists that are there" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold "${missing[@]}" >&2 || failed=1
    as_root rm -f "$no_cluster" ${policy:+"$no_service"}
    [ -z "$failed" ] || fail "apt-get failed, see above"
}

install_venv() {
    # The stamp holds the requirements it was built from: a changed list rebuilds the environment.
    local stamp=$venv/requirements.installed
    if cmp -s "$requirements" "$stamp" && [ -x $venv/bin/python ]; then
        return 0
    fi
    echo "building the Python environment in $venv" >&2
    # Debian's own Python: another one first in PATH may lack wheels for what we need.
    /usr/bin/python3 -m venv $venv
    $venv/bin/pip install -q --disable-pip-version-check -r "$requirements" >&2
    cp "$requirements" "$stamp"
}

install_node_modules() {
    # The stamp holds the list they were installed from, as above.
    local folder=tests/node
    local stamp=$folder/node_modules/.installed
    if cmp -s $folder/package.json "$stamp"; then
        return 0
    fi
    echo "installing $folder/package.json" >&2
    npm install --prefix $folder --no-package-lock --no-audit --no-fund --silent >&2 ||
        fail "npm install failed in $folder"
    cp $folder/package.json "$stamp"
}

install_promtool() {
    # Only the one program of Debian's package: the package itself would run a server.
    if command -v promtool >/dev/null || [ -x $venv/bin/promtool ]; then
        return 0
    fi
    echo "taking promtool from Debian's prometheus" >&2
    local folder
    folder=$(mktemp -d)
    (cd "$folder" &&
        { apt-get -q download prometheus >&2 ||
            { as_root apt-get -q update >&2 && apt-get -q download prometheus >&2; }; } &&
        dpkg -x prometheus_*.deb .) ||
        { rm -rf "$folder"; fail "cannot download prometheus, which holds promtool"; }
    install -m 755 "$folder/usr/bin/promtool" $venv/bin/promtool
    rm -rf "$folder"
}

install_postgres_versions() {
    # Each in a folder named by its major version; the stamp holds the list, as above.
    local list=tests/postgres/pom.xml
    local folder=.cache/postgres
    cmp -s $list $folder/.installed && return 0
    echo "taking the PostgreSQL versions of $list" >&2
    rm -rf $folder
    mkdir -p $folder/jars
    mvn -q -B -f $list dependency:copy -DoutputDirectory="$PWD/$folder/jars" >&2 ||
        fail "mvn failed to take the PostgreSQL versions of $list"
    local jar version
    for jar in $folder/jars/*.jar; do
        version=${jar##*-}
        mkdir $folder/"${version%%.*}"
        unzip -p "$jar" '*.txz' | tar -xJ -C $folder/"${version%%.*}"
    done
    rm -rf $folder/jars
    cp $list $folder/.installed
}

command -v dpkg-query >/dev/null ||
    fail "not a Debian system: install the equivalents of ${packages[*]}, then set BANYAN_NO_DEPS=1"
install_packages
install_venv
install_node_modules
install_promtool
install_postgres_versions
