"""Branches and tags: `branch`, `tag`, `for-each-ref`, and the form in which they are listed."""
