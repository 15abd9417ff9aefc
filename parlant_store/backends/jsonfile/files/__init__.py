"""The files of sessions: their names, their lines, and how they are read and written."""
