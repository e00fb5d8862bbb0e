"""From a method and a path to an alias, and from an alias to an action."""
