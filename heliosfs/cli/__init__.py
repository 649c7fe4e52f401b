"""The command line: arguments in, text and exit code out.

Nothing else talks to the user, or is steered by the environment.  Programs are started here, by
`git`, which runs git, and by `fuse`, which runs fusermount3: both hand the environment on.
"""
