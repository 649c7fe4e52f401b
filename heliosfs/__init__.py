"""heliosfs: a mounted workspace whose every state can be kept, branched and had back."""

__version__ = "0.1.0"
