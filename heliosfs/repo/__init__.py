"""History and the working states of branches: commits, refs, revisions, operation log."""
