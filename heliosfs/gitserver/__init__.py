"""A git server as a remote: any place that git itself can push to and fetch from.

Git talks to the server, and does so in a mirror: a bare repository in the directory of the store,
which no person sees (`mirror`).  It is a cache.  What is lost of it comes again with the next
fetch, and what it has is read as that of a stranger: the objects pass through the same intake as an
import, and go out by the same conversion as an export.
"""
