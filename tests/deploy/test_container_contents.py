"""What the container's test finds in an image that should not be there."""

import os
from pathlib import Path

import pytest

from deploy.container.buildah import Image
from deploy.container.contents import contents, small_enough
from deploy.container.problems import ContainerError
from deploy.container.running import user_of

PACKAGES = "opt/galaxytree/lib/python3.11/site-packages"


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        path.chmod(0o755)
    return root


def image(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    base = write(tmp_path / "base", "usr/bin/python3", "etc/passwd")
    root = write(tmp_path / "root", "usr/bin/python3", f"{PACKAGES}/app/main.py", *names)
    # As in layers: what the image has of its base is as old as there.
    for path in (base / "usr/bin/python3", base / "etc/passwd", root / "usr/bin/python3"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return root, base


def test_a_clean_image_has_no_faults_and_is_counted_without_its_base(tmp_path: Path) -> None:
    found = contents(*image(tmp_path, "etc/passwd"))
    assert found.faults == []
    assert found.added == [Path("etc/passwd"), Path(PACKAGES, "app/main.py")]
    assert (found.size_bytes, found.base_bytes) == (10, 10)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("usr/bin/gcc", "compiler"),
        ("opt/galaxytree/bin/cc", "compiler"),
        ("wheels/galaxytree-1-py3-none-any.whl", "left over"),
        ("root/.cache/pip/http/a", "left over"),
        (f"{PACKAGES}/app/__pycache__/main.cpython-311.pyc", "left over"),
        ("etc/pip.conf", "left over"),
        (f"{PACKAGES}/pip/__init__.py", "only needed to build"),
        ("source/app/main.py", "outside"),
    ],
)
def test_what_an_image_should_not_hold_is_named(tmp_path: Path, name: str, fault: str) -> None:
    faults = contents(*image(tmp_path, name)).faults
    assert any(each.startswith(f"/{name} ") and fault in each for each in faults)


@pytest.mark.parametrize(("mode", "fault"), [(0o4755, "runs as somebody else"), (0o777, "written by anyone")])
def test_modes_that_give_rights_away_are_named(tmp_path: Path, mode: int, fault: str) -> None:
    root, base = image(tmp_path)
    (root / PACKAGES / "app/main.py").chmod(mode)
    assert any(fault in each for each in contents(root, base).faults)


def test_an_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    found = contents(*image(tmp_path))
    assert "over a base of" in small_enough(found, None)
    assert small_enough(found, 5) == small_enough(found, None)
    with pytest.raises(ContainerError, match="are allowed"):
        small_enough(found, 4)


@pytest.mark.parametrize("user", ["", "root", "galaxytree", "10001"])
def test_a_user_that_is_not_two_numbers_is_refused(user: str) -> None:
    with pytest.raises(ContainerError, match="two numbers"):
        user_of(Image(Path("/"), {"User": user}))


def test_a_user_is_read_from_two_numbers() -> None:
    assert user_of(Image(Path("/"), {"User": "10001:10002"})) == (10001, 10002)
