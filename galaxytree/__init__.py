"""galaxytree: the Galaxy Zoo decision trees, what travels on the wire, the client and the command line.

This package is what everyone shares and what a user installs on a laptop. It imports neither the service (``app``) nor
the training package (``training``), and neither FastAPI, ONNX Runtime nor PyTorch.
"""
