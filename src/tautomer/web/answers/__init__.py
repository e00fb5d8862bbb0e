"""From results and errors to replies."""
