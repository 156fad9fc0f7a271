"""The job as one of its tasks sees it: its session, its steps, and who is lost."""
