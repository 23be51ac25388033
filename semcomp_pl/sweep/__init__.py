"""Sweeps of W&B's format, run on any machine without a server."""
