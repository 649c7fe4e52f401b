"""History and working states of branches: commits, refs, revisions, the operation log."""
