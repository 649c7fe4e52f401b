"""Uncommitted changes and unresolved conflicts: `status`, for people and for programs."""
