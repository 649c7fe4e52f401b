"""The Python client: a mounted workspace as an object, by its control files.

`from heliosfs import Workspace` imports none of what a mount needs, so that a program may have it
where only the mount is visible, such as a container.
"""
