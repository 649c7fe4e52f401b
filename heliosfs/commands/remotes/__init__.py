"""Verbs of remotes: `remote`, `push`, `fetch`, `pull`."""
