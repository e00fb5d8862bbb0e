"""Asking HTTP servers for somebody else: bodies as they come, both ways at once, encoded as they are."""
