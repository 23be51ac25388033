"""Rows -> values with intervals, differences, and Bjontegaard deltas."""
