"""JSON-RPC at the gateway: from names to actions, from results and errors to answers."""
