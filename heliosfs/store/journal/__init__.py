"""The journal: the batches published since the last drain, and how a crash leaves them readable."""
