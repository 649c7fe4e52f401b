"""Buckets: the storages that the five methods of `bucket` are made of.

`MemoryBucket` lasts as long as the process, `DirectoryBucket` is a directory that machines share;
`open_bucket` returns the one that a URL names, and `probe` checks that it keeps its promises.
"""
