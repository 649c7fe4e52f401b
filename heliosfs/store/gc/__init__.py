"""Garbage collection: marking what stays, encoding it in less space, sweeping the rest."""
