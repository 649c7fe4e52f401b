"""Objects and state of a repository, as they are kept on disk, found again, and removed.

`base` is the contract.  `local` keeps it on a disk: new objects go into `journal`, a drain moves
them into `l2` (one LMDB file and packs), and reads go through L1, the cache.  `gc` removes what
nothing refers to any more.  `memory` keeps the contract for tests.  No other package imports the
rooms; import-linter holds that.
"""
