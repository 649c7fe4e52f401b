"""Differences between two trees: the `changes` by file, and the formats of git to show them.

`changes` compares; `form` chooses between `patch` (with `hunks` and `binary`), `stat` and lists
of names; `diff` is the verb.
"""
