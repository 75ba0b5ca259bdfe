"""Makes ``python -m training`` work."""

from training.cli import main

main()
