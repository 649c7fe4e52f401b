"""L0, the virtual state tree: a live tree of nodes over immutable objects.

`workspace` keeps the tree: it makes `nodes` as they are used and notes what changed; `unloading`
lets them go, and `inodes` gives them numbers.  `working_set` holds the bytes of files within a
budget, those of a `large_file` in `parts`.  `flush` makes a tree of objects of what is dirty.
`switch` makes the live tree equal to another one, after `redate` chose the times and `plan` read
what is needed.  `ingest` takes in a directory of another file system; `foreign` compares with one.
Nothing here knows branches or history.  Trees without nodes are the business of `heliosfs.trees`.
"""
