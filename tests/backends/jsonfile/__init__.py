"""The store in a directory of files."""
