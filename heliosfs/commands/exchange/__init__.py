"""Exchange with git repositories and directories outside of the store: `import`, `export`."""
