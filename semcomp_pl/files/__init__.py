"""File access: atomic writing, finding models and configs by name, and reading images."""
