"""Items and events of every framework as entries."""
