"""The FUSE protocol: its messages, its device, and the loop that waits for requests.

Nothing here knows the meaning of a request for a workspace: `daemon` decides that.
"""
