"""Shared history: pushes to, and fetches from, object storage that several machines use.

A bucket is reached by five methods (`bucket`), and everything that is known of it is checked
against its id.
"""
