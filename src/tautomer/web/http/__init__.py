"""The HTTP/1.1 server: bytes in, `Request`; `Reply` out. Knows no routes."""
