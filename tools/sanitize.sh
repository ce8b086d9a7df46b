#!/bin/bash
# Run the tests that exercise the core with the address and undefined-behaviour sanitizers.
#
# The sanitized package is installed beside the environment and found first: python -S ignores the
# editable installation, and the environment's packages are named explicitly.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${VENV:-.venv}/bin/python
site=build/sanitize/site
packages=$("$python" -c "import sysconfig; print(sysconfig.get_path('platlib'))")
level=$("$python" -c "from multilogit import _core; print(_core.LEVEL)")
compiler=${CXX:-g++}
runtime=$("$compiler" -print-file-name=libasan.so)
if [ ! -e "$runtime" ]; then
  echo "sanitize: $compiler has no address sanitizer (libasan.so)" >&2
  exit 1
fi

rm -rf "$site"
CXX=$compiler "$python" -m pip --quiet --disable-pip-version-check install --no-build-isolation \
  --no-deps --upgrade --target "$site" --config-settings=build-dir=build/sanitize/cmake \
  --config-settings=cmake.define.MULTILOGIT_SANITIZE=ON \
  --config-settings=cmake.define.MULTILOGIT_LEVELS="$level" .

# Python's own arenas would hide overruns; Python never frees everything, so leaks are not counted.
# The C++ library is loaded with the sanitizer, which looks for its exceptions once, at the start.
export LIBRARIES="$runtime $("$compiler" -print-file-name=libstdc++.so.6)"
export python PYTHONMALLOC=malloc PYTHONPATH="$site:$packages"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD=$LIBRARIES "$python" -S -c "
import sys, multilogit
if not multilogit.__file__.startswith('$PWD/$site'):
    sys.exit('sanitize: not the sanitized package: ' + multilogit.__file__)"

# A process for every file of tests, as many at a time as there are processors.
run_tests() {
  LD_PRELOAD=$LIBRARIES "$python" -S -m pytest -q -p no:cacheprovider -p no:faulthandler \
    --capture=sys "$1"
}
export -f run_tests
ls -S tests/_core/test_*.py tests/likelihood/test_*.py |
  xargs -P "$(nproc)" -I '{}' bash -c 'run_tests {}'
