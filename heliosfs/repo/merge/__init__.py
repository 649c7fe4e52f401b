"""Three-way merges of trees, of a file and of its lines; views and refs are unknown here."""
