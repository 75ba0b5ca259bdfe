"""Other ways to serve the same ONNX file, each in an environment of its own, as its own documentation advises."""
