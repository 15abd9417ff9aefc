"""What an agent and its user said, for people to read."""
