#!/bin/sh
# Test the integrations with the packages that they are for.
#
#   integrations/test.sh                types, all tests
#   integrations/test.sh ARGUMENT ...   types, and pytest with these arguments
#
# The packages are many, so they are no part of ./test.sh, and lie in integrations/.venv, which is made
# on the first call (minutes). Whatever the tests need besides comes from .venv, which ./test.sh makes.
set -eu
cd "$(dirname "$0")/.."

main=$PWD/.venv
own=$PWD/integrations/.venv
[ -x "$main/bin/python" ] || { echo "run ./test.sh --quick first: it makes .venv" >&2; exit 1; }
if ! cmp -s integrations/requirements.txt "$own/requirements.txt"; then
    [ -d "$own" ] || "$main/bin/python" -m venv "$own"
    "$own/bin/python" -m pip install --quiet --disable-pip-version-check -r integrations/requirements.txt
    site=$("$own/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$main/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/zz_heliosfs.pth"
    pwd >> "$site/zz_heliosfs.pth"
    cp integrations/requirements.txt "$own/requirements.txt"
fi

if command -v npm >/dev/null && ! cmp -s integrations/opencode/package.json "$own/package.json"; then
    npm install --silent --no-audit --no-fund --no-package-lock --prefix integrations/opencode
    cp integrations/opencode/package.json "$own/package.json"
fi

"$own/bin/python" -m mypy --strict --explicit-package-bases integrations/*.py integrations/tests
if command -v npm >/dev/null; then
    integrations/opencode/node_modules/.bin/tsc -p integrations/opencode
fi
[ $# -gt 0 ] || set -- integrations/tests
exec "$own/bin/python" -m pytest -c integrations/pytest.ini -q "$@"
