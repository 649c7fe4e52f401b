"""The reference page of the configuration, made from the table of keys.

`python -m heliosfs.config.reference` prints docs/reference/configuration.md.
"""

from __future__ import annotations

import sys

from heliosfs.config.schema import KEYS, Key

_INTRODUCTION = """\
# Configuration

    helios config list                                    # every key, its value, and who says so
    helios config get performance.l1_cache_size
    helios config set performance.l1_cache_size 2GB       # takes effect at once
    helios config unset performance.l1_cache_size

<!-- Made by `python -m heliosfs.config.reference` from the table of keys. -->

## Files

| file | whose |
|---|---|
| `helios.yaml` in the repository | this workspace's; `config set` and `unset` edit it |
| `~/.config/heliosfs/helios.yaml` (`$XDG_CONFIG_HOME`) | the user's, for all workspaces |
| `/etc/heliosfs/helios.yaml` | the machine's |

A key in an upper file wins over the same key in a lower one. The repository is `.helios` beneath the mount, or
what `--store` names; while it is mounted, `.helios/helios.yaml` shows the file, and `helios config` is the way to
change it. The other two are read when a workspace is mounted.

All three are YAML and may be missing. `config set` changes the one value that it names: comments, order and layout stay. A key that
is not in the tables below, a wrong type, or a value out of range is refused with the file, the line and the key, and
a workspace whose files are wrong is not mounted (exit code 2).

    performance:
      l1_cache_size: 2GB
    durability: sync          # short for: durability: {mode: sync}

## Values

- A **size** is a number with `B`, `KB`, `MB`, `GB` or `TB` (or `KiB` and so on). A KB is 1024 bytes. Without a unit it is bytes.
- A **duration** is a number with `us`, `ms`, `s`, `m`, `h`, `d` or `w`.
- **true or false** may also be written yes and no, on and off.

## Keys
"""

_NO_EFFECT = """\
## Accepted, without effect

Files that were written for other versions, or for the same workspace on PebbleDB, are accepted as they are.
`config list` says of these keys that they have no effect, and why.
"""

_PROFILES = """\
## Examples

[For many commits](../examples/high-frequency.yaml), [for little disk](../examples/storage-optimised.yaml), and
[for development](../examples/development.yaml). Copy one to a file of the table above, or set its keys one by one.
"""


def page() -> str:
    """Return the page in Markdown."""
    working = [key for key in KEYS if not key.no_effect]
    idle = [key for key in KEYS if key.no_effect]
    parts = [_INTRODUCTION, _head("what it does"), *map(_row, working), ""]
    parts += [_NO_EFFECT, _head("why it has none"), *map(_row, idle), "", _PROFILES.rstrip("\n")]
    return "\n".join(parts) + "\n"


def _head(last: str) -> str:
    return f"| key | value | default | {last} |\n|---|---|---|---|"


def _row(key: Key) -> str:
    default = f"`{key.default_text}`" if key.default_text else "-"
    text = f"{key.summary}: {key.no_effect}" if key.no_effect else key.summary
    return f"| `{key.path}` | {key.type.summary} | {default} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(page())
