"""A package, because processes run its modules."""
