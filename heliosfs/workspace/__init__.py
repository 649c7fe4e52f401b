"""L0, the virtual state tree: a live tree of nodes over immutable objects.

`workspace` keeps the tree: it creates `nodes` as they are used and records what changed;
`unloading` drops them, and `inodes` assigns their numbers.  `working_set` holds the bytes of files
within a budget, those of a `large_file` in `parts`.  `flush` writes dirty nodes as tree objects.
`switch` makes the live tree equal to another one, after `redate` has chosen the times and `plan`
has read everything needed.  `ingest` copies a directory of another file system into the tree;
`foreign` compares the tree with one.  Nothing here knows branches or history.  Trees without
nodes belong to `heliosfs.trees`.
"""
