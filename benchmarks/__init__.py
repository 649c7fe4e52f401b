"""What heliosfs takes, beside what others take, measured in one run: `python -m benchmarks`."""
