"""Where objects and state are kept: the contract, L1 cache, L2 LMDB, journal, codecs."""
