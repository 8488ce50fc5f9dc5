#!/bin/sh
# Makes sure that the system has what a make target needs: installs Debian's packages when it may,
# otherwise prints the line to type and fails.
# Usage: tools/deps.sh run|test|bench
# PYTHON is the interpreter that the environment is made with; python3 without it.
set -eu

manifest="${0%/*}/../Cargo.toml"
python="${PYTHON:-python3}"
need=""
# command:package pairs; a command that is there needs no package.
want() {
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || need="$need ${pair##*:}"
    done
}

want cc:build-essential make:build-essential
if ! command -v "$python" >/dev/null 2>&1 && [ "$python" != python3 ]; then
    echo "PYTHON=$python is not there; install it, or name another" >&2
    exit 1
fi
want python3:python3
case "${1:-run}" in
    run) ;;
    test) want curl:curl openssl:openssl wget:wget ab:apache2-utils chromium:chromium strace:strace git:git \
               wrk:wrk valgrind:valgrind taskset:util-linux nginx:nginx-light haproxy:haproxy \
               slowhttptest:slowhttptest faketime:faketime testssl:testssl.sh litmus:litmus
          # llhttp is compiled where it is installed.
          "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
              2>/dev/null || need="$need python3-dev" ;;
    bench) want wrk:wrk nginx:nginx-light openssl:openssl taskset:util-linux strace:strace valgrind:valgrind git:git
           [ -e /usr/include/ev.h ] || need="$need libev-dev" ;;
    *) echo "usage: tools/deps.sh run|test|bench" >&2; exit 2 ;;
esac
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Of another interpreter only who installed it knows how.
    if [ "$python" != python3 ]; then
        echo "PYTHON=$python has no venv, or no ensurepip; install them, or name another" >&2
        exit 1
    fi
    need="$need python3-venv"
fi

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
# Of 1.88 or 1.88.0, whether the first is at least the second.
reaches() {
    major=${1%%.*} rest=${1#*.}
    wanted_major=${2%%.*} wanted_rest=${2#*.}
    [ "$major" -gt "$wanted_major" ] ||
        { [ "$major" -eq "$wanted_major" ] && [ "${rest%%.*}" -ge "${wanted_rest%%.*}" ]; }
}

while read -r key _ value; do
    if [ "$key" = rust-version ]; then wanted="${value#\"}" wanted="${wanted%\"}"; fi
done <"$manifest"
rustc="$(rustc --version 2>/dev/null)" || rustc="no rustc"
found="${rustc#rustc }"
case "$found" in
    [0-9]*) if reaches "${found%% *}" "$wanted"; then found=""; fi ;;
esac
if [ -n "$found" ]; then
    # Debian's own is years old.
    echo "Kirsch needs Rust $wanted or later, and finds $rustc" >&2
    echo "install it from https://rustup.rs, or update it with: rustup update stable; put ~/.cargo/bin first on PATH" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "$python is $("$python" --version 2>&1); Kirsch needs Python 3.10 or later" >&2
    exit 1
fi
