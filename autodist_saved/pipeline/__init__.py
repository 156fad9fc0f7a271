"""The pipeline that every export walks, and what its front doors hand it."""
