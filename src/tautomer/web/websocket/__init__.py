"""The WebSocket protocol (RFC 6455) without I/O: handshake, frames, compression, and what a line to a client is."""
