"""How the bytes of staged copies leave a parameter server: over a connection of our own, or into a shared file."""
