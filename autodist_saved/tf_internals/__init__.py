"""What this package knows of TensorFlow's inside: private APIs, walks over graphs, op types, its own name scope."""
