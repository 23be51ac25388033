"""Statistics of rows: values with intervals, paired differences and Bjontegaard deltas."""
