"""WebSockets: their methods, the hub, and who is subscribed to what."""
