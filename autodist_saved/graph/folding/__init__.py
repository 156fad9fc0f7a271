"""Folding: one variable takes the place of all pieces of a partitioned variable, in the graph itself."""
