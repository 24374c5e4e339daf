# Shared by the commands in this folder; sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1
export HOME="${HOME:-$ROOT/.home}" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 NO_MKDOCS_2_WARNING=1

heading() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the first interpreter that is new enough and can make virtual environments.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    die "no Python 3.11 or newer with its venv module was found; install one, or name it: PYTHON=/path/to/python3 $0"
}

# digest PYTHON FILE...: one line that changes when the interpreter or a file changes.
digest() {
    "$1" - "${@:2}" <<'PY'
import hashlib, pathlib, sys

parts = [sys.version.encode(), *(pathlib.Path(name).read_bytes() for name in sys.argv[1:])]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
}

# prepare VENV LOCK: a virtual environment in the clone with what LOCK lists, and this project in editable form.
# Does nothing when it was made from the same lock before. Sets BIN to its folder of programs.
prepare() {
    local venv=$ROOT/$1 lock=$2 python stamp
    python=$(find_python) || exit 1
    stamp=$(digest "$python" "$lock" pyproject.toml) || die "cannot read $lock"
    BIN=$venv/bin
    if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$BIN/python" ]; then return; fi
    heading "Set-up: $1 from $lock ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die "cannot make $venv"
    printf 'installing %s packages, once\n' "$(grep -c '==' "$lock")"
    "$BIN/python" -m pip install --quiet --require-hashes -r "$lock" || die "cannot install $lock"
    "$BIN/python" -m pip install --quiet --no-deps --no-build-isolation --editable . || die "cannot install pipemount"
    printf '%s\n' "$stamp" >"$venv/stamp"
    printf 'ready after %s s\n' "$SECONDS"
}

# may_install: whether packages of the distribution can be installed here.
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_package [OPTION...] NAME: quietly, and given up after ten minutes; says nothing when it fails.
install_package() {
    {
        timeout 120 apt-get update -qq
        DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -qq -y "$@"
    } >/dev/null 2>&1
}

# prepare_browser: Chromium or Chrome, which the examples are clicked through with. Installed where this may be done;
# elsewhere those tests are skipped, and say so.
prepare_browser() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" >/dev/null; then return; fi
    done
    if may_install; then
        heading "Set-up: Chromium"
        install_package chromium && return
    fi
    printf 'note: no Chromium is installed, so the tests in a browser are skipped; install the package "chromium"\n'
}

# prepare_rabbitmq: the broker that Celery's jobs are carried by in some tests, the same way. Its server runs only while
# a test wants it: the package's own service, which some systems start, is not used.
prepare_rabbitmq() {
    if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then return; fi
    if may_install; then
        heading "Set-up: RabbitMQ"
        install_package --no-install-recommends rabbitmq-server && return
    fi
    printf 'note: no RabbitMQ is installed, so the tests on it are skipped; install the package "rabbitmq-server"\n'
}
