#!/bin/sh
# Test the contract of buckets on real S3 servers: moto, and SeaweedFS.
#
#   tests/remote/test.sh                all tests of buckets
#   tests/remote/test.sh ARGUMENT ...   pytest with these arguments
#
# The servers take 290 MB, so they are no part of ./test.sh, and lie in build/s3-servers, which is made
# on the first call (a minute).
set -eu
cd "$(dirname "$0")/../.."

main=$PWD/.venv
own=$PWD/build/s3-servers
[ -x "$main/bin/python" ] || { echo "run ./test.sh --quick first: it makes .venv" >&2; exit 1; }
if ! cmp -s tests/remote/requirements.txt "$own/requirements.txt"; then
    [ -d "$own" ] || "$main/bin/python" -m venv "$own"
    "$own/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/remote/requirements.txt
    cp tests/remote/requirements.txt "$own/requirements.txt"
fi
[ $# -gt 0 ] || set -- tests/remote/test_bucket_contract.py tests/remote/test_probe.py tests/remote/test_exchange_on_storages.py
HELIOS_S3_SERVERS="$own/bin" exec "$main/bin/python" -m pytest -q "$@"
