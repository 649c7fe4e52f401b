"""Verbs for scripts: names to ids, objects as they are stored, paths and why they are ignored."""
