"""The keys of `helios.yaml`, and how it is read and edited: text in, values out."""
