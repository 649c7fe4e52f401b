"""Stores of earlier formats, and their upgrade to the present one."""
