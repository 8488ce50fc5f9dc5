#!/bin/sh
# Runs Python tests with the extension built under AddressSanitizer: the fenced unsafe code, what pyo3 generates,
# and every dependency. Arguments are pytest's; without any, the tests that call the fenced code.
# Usage: tools/asan.sh [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
python="$root/.venv/bin/python"

# The sanitizer is unstable in Rust, but its support is in every toolchain; this variable is how to ask for it.
# The runtime is the C compiler's: an extension is loaded by an interpreter that was linked without one.
runtime=$(cc -print-file-name=libasan.so)
if [ ! -e "$runtime" ]; then
    echo "the AddressSanitizer of the C compiler is missing; install build-essential and try again" >&2
    exit 1
fi
target=x86_64-unknown-linux-gnu
case "$(uname -m)" in aarch64) target=aarch64-unknown-linux-gnu ;; esac

RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cdebuginfo=line-tables-only" PYO3_PYTHON="$python" \
    cargo build -q -p kirsch-extension --profile fast --target "$target" --target-dir target/asan

# A copy of the package in front of the installed one.
package="$root/target/asan/python"
rm -rf "$package"
mkdir -p "$package"
cp -r python/kirsch "$package/"
rm -f "$package"/kirsch/_kirsch*.so
cp "target/asan/$target/fast/lib_kirsch.so" "$package/kirsch/_kirsch.so"

if ! nm -D "$package/kirsch/_kirsch.so" | grep -q __asan_init; then
    echo "the extension was built without AddressSanitizer" >&2
    exit 1
fi

[ "$#" -gt 0 ] || set -- -m "not slow" test_pep3333.py test_embedding.py test_conformance.py test_conformance_tls.py
cd tests
# CPython keeps by design what lives as long as the process, so leaks are counted by test_leaks.py instead.
# Its own allocator would hide from the sanitizer what lies in a block. All of it is slow, the client too.
exec env LD_PRELOAD="$runtime" PYTHONPATH="$package" PYTHONMALLOC=malloc KIRSCH_TEST_DEADLINE=120 \
    ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:allocator_may_return_null=1" \
    "$python" -m pytest -q "$@"
