"""Which rows of a conversation a page reads, and how much of them."""
