"""The daemon of a mount: the decisions that are made while it serves.

`serve` puts it together.  Requests of the kernel come from `fuse` and are answered by
`name_requests`, `handle_requests` and `rare_requests`; verbs run in `verbs`, long ones beside all
others.  `keeper` saves and syncs, `auto_gc` collects garbage, `forgetter` has the kernel forget
nodes, `watchers` tells watching programs of a checkout.  trio runs here and in `fuse` only.
"""
