"""The operations of a store, and what is checked before a backend runs one."""
