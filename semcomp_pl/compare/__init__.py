"""Comparisons: measuring codecs on the same images, statistics of the results, and reports."""
