"""What users give for a meta graph, and whether it fits: signatures, examples, files, warm-up requests, metrics."""
