"""Who offers what: nodes, endpoints of actions, subscriptions to events."""
