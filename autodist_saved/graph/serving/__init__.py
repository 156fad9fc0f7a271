"""Serving graphs: cut at their signatures, with one whole variable for each name."""
