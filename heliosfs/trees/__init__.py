"""Trees that never change: read, compared and made anew from objects, without a live node.

`stored` reads tree objects, writes them and finds what differs; `files` does so for the bytes of
files, `same` says which differences count.  `edit` makes a tree with other paths, and on it build
`graft` (paths of another tree), `carry` (what is ignored stays), `select` (what is ignored goes)
and `links` (the names of a file agree).  `ignore` and `attributes` read the files of a tree that
are about its files, with `patterns` and `wildmatch`.  A function takes a store and root entries,
adds objects to the store's batch, and returns an entry; it knows no workspace and no history.
"""
