"""Declarations of the verbs: names, options, help and errors, and where each is carried out.

`heliosfs.commands.table` collects them; nothing in here does any work.
"""
