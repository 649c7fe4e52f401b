"""L2: objects, their index and the drained state, in one LMDB file and in packs."""
