"""The stages of a route, each a handler in, a handler out."""
