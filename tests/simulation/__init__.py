"""A simulation of the whole product, in one process, on fakes, from a seed.

`disk` is a disk that loses power, gets full and fails; `kernel` a kernel that caches names,
attributes, pages and listings for as long as it is allowed to, and forgets when it likes; `model`
knows what must be there.  `mount` puts the real request handlers, verbs, keeper and store between
the two, `actions` are the things that happen, and `run` makes a life of them and judges it.
"""
