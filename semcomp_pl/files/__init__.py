"""Files: written whole or not at all, found by name, and read as images."""
