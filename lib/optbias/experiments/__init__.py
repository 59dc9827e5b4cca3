"""Experiments: what the book runs on real data, each with a command line and a recorded result."""
