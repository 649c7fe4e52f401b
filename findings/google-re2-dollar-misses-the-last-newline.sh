#!/bin/sh
# google-re2 calls itself a drop-in for `re`, and misses what `re` finds: lines with their newline.
#
# In Python, `$` without MULTILINE also matches before a newline at the end of the text; in RE2 it
# is the end of the text alone. So `pattern$` over lines as a file gives them finds nothing, and
# no error says so. Likewise `\s` has no vertical tab, and `str(error)` is the text of bytes.
# The package's page names only `\Z` as different. `(?m)` makes `$` match before every newline.
#
# Seen with google-re2 1.1.20251105, Python 3.11:
#   re   'end$' in 'the end\n'  True    '\s' in '\v'  True    error  missing ), unterminated subpattern at position 0
#   re2  'end$' in 'the end\n'  False   '\s' in '\v'  False   error  b'missing ): ('
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install google-re2==1.1.20251105
"$work/venv/bin/python" - <<'PYTHON'
import re

import re2


def said(engine):
    try:
        engine.compile("(")
    except engine.error as error:
        return str(error)


found = {}
for name, engine in (("re", re), ("re2", re2)):
    has_end = bool(engine.search("end$", "the end\n"))
    has_space = bool(engine.search(r"\s", "\v"))
    found[name] = has_end, has_space, said(engine)[:2] == "b'"
    print(f"{name:4} 'end$' {has_end}  '\\s' {has_space}  error {said(engine)}")
assert found == {"re": (True, True, False), "re2": (False, False, True)}, found
assert re2.search("(?m)end$", "the end\n")
PYTHON
