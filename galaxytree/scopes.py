"""What an API key may be for."""

from typing import Literal, get_args

KeyScope = Literal["classify", "batch", "admin", "metrics"]
"""``classify``: one image a request; ``batch``: many; ``metrics``: to read what is measured; ``admin``: to tell the
service what to do, and to read what is measured."""

SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)

DEFAULT_SCOPES: tuple[KeyScope, ...] = ("classify", "batch")
"""Of a key for which nothing else is said."""

MOST_NAME_LETTERS = 100
"""Of a key's name, which stands in logs."""
