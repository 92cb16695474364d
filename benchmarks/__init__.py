"""How fast it is, beside others in the same run: ``python -m benchmarks``, and ``python -m benchmarks.profile``."""
