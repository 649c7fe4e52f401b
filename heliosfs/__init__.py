"""heliosfs: a mounted workspace of which every state can be kept, branched and restored."""

__version__ = "0.1.0"
