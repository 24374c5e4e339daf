"""What ``benchmarks/streams.py`` serves and what it reads with."""
