"""Bits: symbol models, entropy coders, the file format. Integers and NumPy; no torch, no Lightning, no file names."""
