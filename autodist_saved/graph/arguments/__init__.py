"""What users give for one meta graph, and whether it fits: signatures, examples, files, requests, a metric."""
