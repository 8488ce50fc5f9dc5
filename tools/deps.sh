#!/bin/sh
# Makes sure that the system has what a make target needs: installs Debian's packages when it may,
# otherwise prints the line to type and fails.
# Usage: tools/deps.sh run|test|bench
set -eu

need=""
# command:package pairs; a command that is there needs no package.
want() {
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || need="$need ${pair##*:}"
    done
}

want cc:build-essential make:build-essential python3:python3
case "${1:-run}" in
    run) ;;
    test) want curl:curl wget:wget ab:apache2-utils chromium:chromium strace:strace git:git \
               wrk:wrk valgrind:valgrind taskset:util-linux nginx:nginx-light haproxy:haproxy \
               slowhttptest:slowhttptest faketime:faketime
          # llhttp is compiled where it is installed.
          python3 -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
              2>/dev/null || need="$need python3-dev" ;;
    bench) want wrk:wrk nginx:nginx-light taskset:util-linux strace:strace valgrind:valgrind git:git
           [ -e /usr/include/ev.h ] || need="$need libev-dev" ;;
    *) echo "usage: tools/deps.sh run|test|bench" >&2; exit 2 ;;
esac
python3 -c 'import venv, ensurepip' 2>/dev/null || need="$need python3-venv"

if [ -n "$need" ]; then
    # shellcheck disable=SC2086 # a list of words
    set -- $(printf '%s\n' $need | sort -u)
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing $*"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "these packages are missing; install them and try again:" >&2
        echo "    sudo apt-get install $*" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing; install Rust from https://rustup.rs and try again" >&2
    exit 1
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "python3 is $(python3 --version 2>&1); Kirsch needs Python 3.10 or later" >&2
    exit 1
fi
