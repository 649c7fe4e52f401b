"""What can be configured, and how `helios.yaml` is read and edited: text in, values out."""
