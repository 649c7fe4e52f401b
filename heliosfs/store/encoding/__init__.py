"""How the bytes of objects are encoded, whole or against a version, and the packs of large ones."""
