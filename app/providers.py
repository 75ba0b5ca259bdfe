"""ONNX Runtime's execution providers by name, and the cores of this machine: what can be said without loading it."""

import os

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
