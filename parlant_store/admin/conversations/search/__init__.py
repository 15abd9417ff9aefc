"""Which conversations match: bounded statements in the order of an index, names and words."""
