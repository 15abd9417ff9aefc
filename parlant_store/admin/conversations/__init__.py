"""Conversations: the sessions of every framework and Parlant's sessions, in one list."""
