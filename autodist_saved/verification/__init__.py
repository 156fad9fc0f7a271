"""Whether a model answers as the job does of which it was made."""
