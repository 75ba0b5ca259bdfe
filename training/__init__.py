"""Data to model: prepare, train, evaluate, export. The only package that imports PyTorch."""
