"""``python -m galaxytree``: the command line."""

from galaxytree.cli import main

main(prog_name="galaxytree")
