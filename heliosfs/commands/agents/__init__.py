"""Agents: the hooks by which they tell what they do, and the way back to before a prompt.

`hook` makes a commit at each prompt, after each batch of tool calls and when the agent stops.  The
metadata of these commits (`agent_trace`) names the session and the prompt, by which `rewind`,
`log --agent` and `blame --agent` find them.
"""
