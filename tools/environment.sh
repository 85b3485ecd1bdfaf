#!/bin/sh
# Makes or renews the virtual environment. usage: sh tools/environment.sh lab|tests|bench|app     (called by make, from the repository's folder)
set -u

log=.venv/setup.log

stop() { printf 'breakerlab: %s\n' "$1" >&2; exit 1; }

# Newer than 3.14: the pinned numpy has no build for it yet.
is_right() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; }

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        is_right "$name" && { echo "$name"; return; }
    done
}

make_venv() {
    python=$(find_python)
    [ -n "$python" ] || stop "Python 3.11, 3.12, 3.13 or 3.14 is needed and was not found (python3 here: $(python3 --version 2>&1 | head -n 1)); install one, or say where it is: make PYTHON=/path/to/python3 lab"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null \
        || stop "Python $version here cannot make virtual environments; on Debian or Ubuntu run: apt-get install python$version-venv, then the same make command again"
    echo "breakerlab: making .venv with Python $version"
    rm -rf .venv
    "$python" -m venv .venv || stop "the virtual environment could not be made (see above); check that this folder can be written and the disk is not full"
}

pip_install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@" >>"$log" 2>&1 && return
    tail -n 20 "$log" >&2
    stop "installing failed (the end of $log is above); check that pip reaches a package index, then run the same make command again"
}

# A moved or copied clone would go on importing the package from its old place.
made_here() { [ "$(cat .venv/made-for 2>/dev/null)" = "$PWD" ] && .venv/bin/python -m pip --version >/dev/null 2>&1; }

install_lab() {
    made_here || make_venv
    : >"$log"
    echo "breakerlab: installing JupyterLab and the package's libraries into .venv (a minute or two, once)"
    pip_install --upgrade --constraint constraints.txt pip
    pip_install --constraint constraints.txt --build-constraint constraints.txt --editable .
    printf '%s\n' "$PWD" >.venv/made-for
}

install_tests() {
    echo "breakerlab: installing what the tests need (half a minute, once)"
    pip_install --constraint constraints.txt --group dev --group app
}

install_bench() {
    echo "breakerlab: installing the libraries that the benchmarks compare (a few seconds, once)"
    pip_install --constraint constraints.txt --group bench
}

install_app() {
    echo "breakerlab: installing voila, which serves a notebook as an app (a few seconds, once)"
    pip_install --constraint constraints.txt --group app
}

case "${1:-}" in
    lab) install_lab ;;
    tests) install_tests ;;
    bench) install_bench ;;
    app) install_app ;;
    *) stop "say 'lab', 'tests', 'bench' or 'app': sh tools/environment.sh lab" ;;
esac
touch ".venv/ready-for-$1"
