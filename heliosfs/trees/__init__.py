"""Immutable trees: functions that read, compare and rewrite them without a live node.

`stored` reads, writes and compares tree objects; `files` reads and writes the bytes of files;
`same` decides which differences count.  `edit` returns a tree with some paths changed, and these
build on it: `graft` (take paths from another tree), `carry` (keep ignored files), `select` (leave
ignored files out) and `links` (make the names of a hard-linked file agree).  `ignore` reads
`.heliosignore` and `attributes` reads `.gitattributes`, both with `patterns` and `wildmatch`.
A function takes a store and root entries, adds objects to the store's batch, and returns an
entry; it knows nothing of workspaces or history.
"""
