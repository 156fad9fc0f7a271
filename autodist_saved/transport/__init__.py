"""Moves the bytes of staged variables out of parameter servers: over our own connection, or into a shared file."""
