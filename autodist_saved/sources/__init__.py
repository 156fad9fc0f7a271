"""Sources: where the variables of a job are, and how they are staged and read."""
