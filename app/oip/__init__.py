"""Open Inference Protocol v2, as KServe and Triton speak it, with the extension for tensors in binary."""
