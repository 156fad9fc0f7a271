"""Publication: where a finished SavedModel appears, checked and whole, or not at all."""
