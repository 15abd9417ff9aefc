"""How much there is, and what is about to end."""
