"""A whole survey through one service: how fast, in how much memory, and what is left of it after faults."""
