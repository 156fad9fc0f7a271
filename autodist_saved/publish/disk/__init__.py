"""Publishes to directories, local or mounted: a model appears by renaming its draft."""
