#!/bin/sh
# Set up, then check everything: style, types, layers, tests.
#
#   ./test.sh               everything; the tests run side by side, one process for each CPU
#   ./test.sh --quick       style, types, layers and the unit tests: under a minute
#   ./test.sh ARGUMENT ...  style, types, layers, and pytest with these arguments
#
# TEST_SECONDS bounds each step (1200); TEST_PROCESSES says how many tests run side by side.
# Leaves no mount and no process behind.
set -u
cd "$(dirname "$0")" || exit 1

python3 -m heliosfs.cli.bootstrap || exit 1
bin=$PWD/.venv/bin
# Bytecode is kept, and beside the sources there is none: the tests start thousands of interpreters,
# of which each would compile the whole package.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$PWD/.venv/pycache"
seconds=${TEST_SECONDS:-1200}

# Everything that the tests make lies in here, mounts and daemons included.
scratch=$(mktemp -d) || exit 1
# Some tests act as other users, who pass through it.
chmod 711 "$scratch"
export TMPDIR="$scratch"

clean_up() {
    trap - EXIT INT TERM
    "$bin/python" -m tests.leftovers "$scratch"
    left=$?
    rm -rf --one-file-system "$scratch"
    [ "$left" -eq 0 ] || exit "$left"
}
trap 'clean_up; exit 130' INT TERM
trap 'status=$?; clean_up; exit $status' EXIT

failed=
late=
step() {
    echo "== $*"
    timeout -k 10 "$seconds" "$bin/$@"
    case $? in
        0) ;;
        124 | 137) late="$late $1" ;;
        *) failed="$failed $1" ;;
    esac
}

step ruff check .
step ruff format --check .
step mypy
step lint-imports
case ${1-} in
    --quick) shift; set -- tests/unit "$@" ;;
esac
if [ $# -eq 0 ] || [ "$*" = tests/unit ]; then
    # Whoever is done takes tests from the others, so that none waits for a slow file.
    set -- -n "${TEST_PROCESSES:-auto}" --dist worksteal "$@"
fi
step pytest "$@"

if [ -n "$late" ]; then
    echo "ran out of time after $seconds s:$late (a slow or busy machine wants more: TEST_SECONDS=2400 ./test.sh)" >&2
fi
[ -z "$failed" ] || echo "failed:$failed" >&2
[ -z "$failed$late" ]
