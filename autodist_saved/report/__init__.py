"""What an export says of itself: the report, its witness, its phases, and the history of a job's exports."""
