"""Commits as they are walked, selected and shown: `log`, `rev-list`, `reflog` and `show`.

`walk` finds commits, `selection` and `pickaxe` choose among them, `form` and `placeholders` put
them into text, and `graph` draws the lines beside them.
"""
