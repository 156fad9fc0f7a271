"""Where TensorFlow's inside is looked at: private APIs, graph walks, op types."""
