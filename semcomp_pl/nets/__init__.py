"""Networks as plain modules: no Lightning, no losses."""
