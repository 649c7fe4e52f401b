"""L0, the virtual state tree: a mutable tree of nodes over immutable objects."""
