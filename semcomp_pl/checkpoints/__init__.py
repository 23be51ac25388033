"""Loading and exporting trained models, and the list of model classes."""
