"""`@http`: methods that get the request itself, as nameko has them; one more way to mark an action."""
