"""The operation log: `undo`, `redo`, `oplog`, and earlier states as a request names them."""
