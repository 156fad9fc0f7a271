"""What an export says of itself: the report, its witness, its phases."""
