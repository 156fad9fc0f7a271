"""Who may talk to the control service, and how much strangers can take."""
