"""Directories, local or mounted: models appear with a rename."""
