#!/bin/sh
# Set up, then check everything: style, types, layers, tests.  Arguments go to pytest.
# TEST_SECONDS bounds each step (1200).  Leaves no mount and no process behind.
set -u
cd "$(dirname "$0")" || exit 1

python3 -m heliosfs.cli.bootstrap || exit 1
bin=$PWD/.venv/bin

# Everything that the tests make lies in here, mounts and daemons included.
scratch=$(mktemp -d) || exit 1
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
step() {
    echo "== $*"
    timeout -k 10 "${TEST_SECONDS:-1200}" "$bin/$@" || failed="$failed $1"
}

step ruff check .
step ruff format --check .
step mypy
step lint-imports
step pytest "$@"

[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
