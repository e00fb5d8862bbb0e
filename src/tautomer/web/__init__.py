"""The edge: HTTP to actions."""
