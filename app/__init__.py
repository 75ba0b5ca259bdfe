"""The service: an ONNX model behind HTTP."""
