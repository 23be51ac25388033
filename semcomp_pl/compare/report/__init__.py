"""Numbers -> tables, figures, and one page."""
