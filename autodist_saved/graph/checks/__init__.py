"""What would make a described model useless on one machine."""
