"""Stores of earlier formats, and the way from them to the present one."""
