"""The threads of a server."""
