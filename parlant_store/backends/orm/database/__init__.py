"""The connection of Django, the statements on it, and its errors."""
