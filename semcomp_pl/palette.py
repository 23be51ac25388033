"""Colours that colour-blind readers can tell apart."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours without black, and without their yellow, which is too faint on white.
Source: https://jfly.uni-koeln.de/color"""
