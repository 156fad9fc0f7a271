"""Checks of a described graph: what a loader on one machine could not use, and what would mislead its users."""
