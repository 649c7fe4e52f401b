"""The namespace that the kernel sees: inodes, handles, the rules of POSIX, `.helios`.

`filesystem` has the nodes and finds them, `naming` changes names, `files` has what is open;
`dotdir`, `virtual` and `control` are `.helios`.
"""
