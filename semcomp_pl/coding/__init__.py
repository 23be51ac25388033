"""Symbol models, entropy coders and the file format, in integers and NumPy: no torch, no Lightning, no file names."""
