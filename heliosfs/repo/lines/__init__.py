"""The lines that differ between two files, as `diff`, `blame` and merges need them."""
