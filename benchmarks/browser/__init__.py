"""The page in a real browser: how soon it is there, and how soon an answer is drawn."""
