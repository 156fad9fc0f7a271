"""Cuts: how all writers of a job stop between two training steps while its variables are staged."""
