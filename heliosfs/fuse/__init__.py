"""The kernel's protocol: its messages, its device, and how requests are waited for.

It knows nothing of what a request means for a workspace: that is decided in `daemon`.
"""
