"""Serving graphs: they are cut at their signatures, and have one whole variable for each name."""
