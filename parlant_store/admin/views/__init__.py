"""Pages of the admin beside those of the models."""
