"""Reading and exporting trained models, and the list of the classes that the suite knows."""
