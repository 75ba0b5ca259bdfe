"""How fast the service is, against the limit of this machine and against peers: see docs/benchmarks.md."""
