#!/bin/sh
# Builds and installs the package for each interpreter and runs the quick tests with it.
# Usage: tools/test-pythons.sh [PYTHON ...]
# PYTHON is a name on PATH (python3.12), a version that pyenv has (3.12, 3.12.1), or a path.
# Without any, every CPython from 3.10 to 3.14 that is found. Each gets an environment in .venvs.
# PROFILE=release builds what is released; the default builds quicker.
set -eu
cd "$(dirname "$0")/.."

pyenv_versions="${PYENV_ROOT:-$HOME/.pyenv}/versions"
profile="${PROFILE:-fast}"
logs=.venvs/logs
mkdir -p "$logs"

# The path of an interpreter that was named.
find_python() {
    name=${1#python}
    for candidate in "$pyenv_versions/$name" "$pyenv_versions/$name".*; do
        if [ -x "$candidate/bin/python" ]; then
            echo "$candidate/bin/python"
            return
        fi
    done
    # pyenv puts a script of this name on PATH even for versions that are not chosen: it has to run.
    for candidate in "$1" "python$name"; do
        if path=$(command -v "$candidate") && "$path" -c '' 2>/dev/null; then
            echo "$path"
            return
        fi
    done
    return 1
}

version_of() {
    "$1" -c 'import platform; print(platform.python_implementation(), platform.python_version())'
}

# Every interpreter that is there, one of each minor version.
find_all() {
    for minor in 10 11 12 13 14; do
        find_python "python3.$minor" || true
    done
}

chosen=""
if [ $# -eq 0 ]; then
    chosen=$(find_all)
    [ -n "$chosen" ] || { echo "no interpreter from python3.10 to python3.14 is installed" >&2; exit 2; }
fi
for name in "$@"; do
    if ! path=$(find_python "$name"); then
        echo "there is no interpreter $name, neither on PATH nor in $pyenv_versions" >&2
        exit 2
    fi
    chosen="$chosen $path"
done

# One step, whose output is shown only if it fails.
step() {
    if ! "$@" >>"$log" 2>&1; then
        tail -n 40 "$log"
        return 1
    fi
}

test_with() {
    step "$1" -m venv "$venv" &&
        step "$venv/bin/pip" install -q --disable-pip-version-check -r requirements/build.txt &&
        step env VIRTUAL_ENV="$venv" "$venv/bin/maturin" develop -q --profile "$profile" &&
        step "$venv/bin/pip" install -q --disable-pip-version-check \
            -r requirements/example.txt -r requirements/test.txt &&
        step sh -c "cd tests && ../$venv/bin/python -m pytest -q -m 'not slow'"
}

summary=""
failed=0
for python in $chosen; do
    version=$(version_of "$python")
    name=$(echo "$version" | tr 'A-Z ' 'a-z-')
    venv=".venvs/$name"
    log="$logs/$name"
    : >"$log"
    echo "== $version"
    if test_with "$python"; then
        result="passed: $(tail -n 1 "$log")"
    else
        result="FAILED: see $log"
        failed=1
    fi
    summary="$summary$version $result
"
done
echo
printf '%s' "$summary"
exit $failed
