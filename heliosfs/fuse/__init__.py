"""The adapter: pyfuse3 and trio live here.

It converts, dispatches and waits; it decides nothing.
"""
