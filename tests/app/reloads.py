"""Models that can be told apart by their answers, and an administrator's key."""

import hashlib
from pathlib import Path

import httpx

from tests.tiny_model import write_model

ADMIN_KEY = "the operator's"
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}


def admin_keys(folder: Path) -> Path:
    """Write a file with one key that may do everything."""
    path = folder / "keys.toml"
    sha256 = hashlib.sha256(ADMIN_KEY.encode()).hexdigest()
    path.write_text(f'[[keys]]\nname = "operator"\nsha256 = "{sha256}"\nscopes = ["classify", "batch", "admin"]\n')
    return path


def versioned(folder: Path, version: str) -> Path:
    """Write a model whose scores are those of its version alone."""
    fields = {"version": version}
    return write_model(folder, factor=float(version), metadata=dict(fields), card=dict(fields))


def lead(link: Path, folder: Path) -> None:
    """Have a link lead to a folder, in one step."""
    new = link.with_name(f"{link.name}.new")
    new.symlink_to(folder, target_is_directory=True)
    new.replace(link)


def reload(url: str) -> httpx.Response:
    """Have a service look for new models."""
    return httpx.post(f"{url}/admin/reload", headers=HEADERS, timeout=120)
