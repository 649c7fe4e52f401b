"""Objects and state of a repository: how they are kept, found again, and let go of.

`base` is the contract.  `local` keeps it on a disk: what is new goes into `journal`, moves by a
drain into `l2`, one LMDB file and packs, and is read through the cache of L1.  `gc` removes what
nobody names any more.  `memory` keeps the contract for tests.  Nobody outside looks into the rooms:
import-linter holds that.
"""
