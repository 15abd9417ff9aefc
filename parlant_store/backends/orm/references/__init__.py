"""Foreign keys of the project to the tables of this app, whose on_delete is followed."""
