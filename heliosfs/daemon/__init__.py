"""The daemon of a mount: the decisions that are made while it serves.

`serve` puts it together.  Requests of the kernel come from `fuse`, and are answered by the module
that has their subject: `node_requests` (a node by its inode), `name_requests` (the names in a
directory), `open_requests`, `handle_requests` (an open file), `listing_requests`, `mount_requests`,
`rare_requests`.  `control_mounts` mounts the control files inside the workspace.
Verbs run in `verbs`, long ones beside all others, each in one of the `turns`.  `keeper` saves and
syncs, `auto_gc` collects garbage, `forgetter` has the kernel forget nodes, `watchers` notifies
watchers of a checkout.  trio runs here and in `fuse` only.
"""
