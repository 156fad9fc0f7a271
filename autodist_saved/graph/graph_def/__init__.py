"""TensorFlow's messages of a graph: nodes, functions, signatures and definitions of variables, read and edited."""
