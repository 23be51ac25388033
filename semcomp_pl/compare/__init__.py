"""Rows of (codec, operating point, image) to numbers with intervals and figures."""
