"""Parts of the report that do not depend on the repository, put together once.

Style and script are named in the page's policy by their digests, and nothing else may run or be
loaded: what a hostile message or diff might bring with it stays text.
"""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256

_SCRIPTS = ("data", "list", "graph", "chart", "table", "detail", "main")
_PLACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "web")


def _read(name: str) -> str:
    with open(os.path.join(_PLACE, name), encoding="utf-8") as file:
        return file.read()


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _assemble() -> tuple[str, str]:
    style = _read("report.css")
    scripts = "".join(_read(f"{name}.js") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{scripts}}})();\n'
    begin, end = _read("report.html").split("{data}")
    for mark, text in (
        ("{style-hash}", _digest(style)),
        ("{script-hash}", _digest(script)),
        ("{style}", style),
    ):
        begin = begin.replace(mark, text)
    return begin, end.replace("{script}", script)


# Read when the module is imported: later, the path may lead through our own mount.
PAGE_BEGIN, PAGE_END = _assemble()
