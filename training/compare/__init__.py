"""Other systems for the same task, trained and measured beside ours on the same galaxies with the same budget."""
