"""The command line: arguments in, text and exit code out.

No other package prints, or reads the environment.  Two others start programs, and hand the
environment on: `git` starts git, and `fuse` starts fusermount3.
"""
