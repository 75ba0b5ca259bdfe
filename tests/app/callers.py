"""What tests of keys share: files of them, and the header that shows one."""

import hashlib
from pathlib import Path


def entry(name: str, key: str, *lines: str) -> str:
    """Return the lines of one key in a file of keys."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return "\n".join(["[[keys]]", f'name = "{name}"', f'sha256 = "{digest}"', *lines, "", ""])


def write_keys(folder: Path, **keys: str) -> Path:
    """Write a file of keys, by whose they are."""
    path = folder / "keys.toml"
    path.write_text("".join(entry(name, key) for name, key in keys.items()))
    return path


def bearer(key: str) -> dict[str, str]:
    """Return the header that shows a key."""
    return {"Authorization": f"Bearer {key}"}
