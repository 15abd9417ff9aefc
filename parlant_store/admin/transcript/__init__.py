"""Conversations as people read them: entries made of items and events, whatever wrote them."""
