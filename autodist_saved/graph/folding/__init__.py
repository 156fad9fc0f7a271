"""Folding: the pieces of partitioned variables become one variable each, in the graph itself."""
