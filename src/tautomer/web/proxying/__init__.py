"""The gateway as a proxy: requests that a command passes on to an upstream server."""
