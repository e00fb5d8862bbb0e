"""What a gateway says of itself: its OpenAPI document, a page to read it, and health probes."""
