"""A service under load for long, while faults go on: what it holds must not grow."""
