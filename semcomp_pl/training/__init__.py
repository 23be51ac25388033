"""What a training run leaves behind: history, samples, predictions, and the tables of the entropy model."""
