"""Connections to the servers, and scripts that run there."""
