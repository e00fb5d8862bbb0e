"""ASGI, both ways: the gateway under another server, and other applications under the gateway."""
