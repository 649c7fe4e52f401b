"""The namespace that the kernel sees: inodes, handles, the rules of POSIX, `.helios`."""
