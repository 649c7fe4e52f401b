"""The command line: arguments in, text and exit code out.

The only place that prints, reads the environment or starts processes.
"""
