"""Workspaces of heliosfs for agent frameworks: a module for each, to be copied or imported."""
