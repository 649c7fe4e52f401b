"""The MCP server: verbs of history as tools of an agent, over stdio.

It knows the verbs by their declarations, and a workspace by two functions that the command line
hands in (`places.Access`); so it imports nothing of a mount, and could not open a store.  The
package `mcp` is imported here and nowhere else, because it is an extra.
"""
