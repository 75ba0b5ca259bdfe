"""Under which licences the dependencies are, and what is known of them."""

import json
import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.audit import told
from deploy.bundled import BUNDLED, Bundled, add_to
from deploy.licences import ACCEPTED, EXTRAS, PAGE, Package, is_accepted, licence_of, page, requirements

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)", re.MULTILINE)
ROW = re.compile(
    r"^\| (?P<name>\S+) \| (?P<version>\S+) \| `(?P<licence>[^`]+)` \| (?P<extras>[a-z, ]+) \|$", re.MULTILINE
)
LISTED = [
    Package(row["name"], row["version"], row["licence"], tuple(row["extras"].split(", ")))
    for row in ROW.finditer(PAGE.read_text("utf-8"))
]


def test_the_page_is_what_would_be_written_of_what_it_lists() -> None:
    assert page(LISTED) == PAGE.read_text("utf-8")


@pytest.mark.parametrize("one", BUNDLED, ids=lambda one: one.name)
def test_what_packages_bring_along_is_named_with_its_version(one: Bundled) -> None:
    folder = Path(str(distribution(one.package).locate_file("")))
    assert one.says in (folder / one.file).read_text("utf-8")
    assert one.version in one.says
    assert is_accepted(one.licence)
    assert one.component()["purl"] == f"pkg:npm/{one.name}@{one.version}"


def test_a_bill_of_materials_has_them_too(tmp_path: Path) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text(json.dumps({"components": [{"bom-ref": "zlib"}], "dependencies": [{"ref": "zlib"}]}))
    add_to(bill)
    said = json.loads(bill.read_text("utf-8"))
    names = [each["bom-ref"] for each in said["components"]]
    assert names == sorted(names) == [each["ref"] for each in said["dependencies"]]
    assert len(names) == 1 + len(BUNDLED)


def test_every_licence_on_the_page_is_accepted() -> None:
    assert len(LISTED) > 50
    assert [each for each in LISTED if not is_accepted(each.licence)] == []


def test_the_page_has_the_versions_that_are_pinned() -> None:
    pinned: dict[str, set[str]] = {}
    for found in PINNED.finditer((ROOT / "constraints.txt").read_text("utf-8")):
        pinned.setdefault(canonicalize_name(found["name"]), set()).add(found["version"])
    stale = [each for each in LISTED if each.version not in pinned.get(canonicalize_name(each.name), ())]
    assert stale == [], "make licences"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_page_lists_whatever_is_asked_for(extra: str) -> None:
    listed = {canonicalize_name(each.name): each.extras for each in LISTED}
    for text in requirements(extra):
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"}):
            assert (extra or "client") in listed[canonicalize_name(wanted.name)], "make licences"


def test_what_is_not_open_comes_only_with_what_a_gpu_needs() -> None:
    for each in LISTED:
        if "Proprietary" in each.licence:
            assert set(each.extras) <= {"cuda", "train"}


@pytest.mark.parametrize(
    "expression",
    [
        *ACCEPTED,
        "MIT OR GPL-3.0-only",
        "(GPL-2.0-only OR MIT) AND BSD-3-Clause",
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception",
    ],
)
def test_licences_that_go_with_mit_are_accepted(expression: str) -> None:
    assert is_accepted(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND (GPL-2.0-only OR AGPL-3.0-only)",
        "MIT MIT",
        "(MIT",
        "MIT AND",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "nothing said",
    ],
)
def test_others_are_not(expression: str) -> None:
    assert not is_accepted(expression)


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ({"license_expression": "MIT", "license": "BSD"}, "MIT"),
        ({"license": "MIT License"}, "MIT"),
        ({"license": "MIT License\n\nCopyright", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"classifier": ["Topic :: Software", "License :: OSI Approved :: BSD License"]}, "BSD-3-Clause"),
        ({"license": "GNU GPL v3\nlong text"}, "GNU GPL v3"),
        ({}, "nothing said"),
    ],
)
def test_a_licence_is_found_in_what_metadata_says(metadata: dict[str, Any], licence: str) -> None:
    assert licence_of({"name": "some", **metadata}) == licence


def test_packages_that_the_advisory_service_does_not_know_are_not_called_clean() -> None:
    said = {
        "dependencies": [
            {"name": "galaxytree", "skip_reason": "not there"},
            {"name": "one", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]},
            {"name": "two", "version": "1", "vulns": []},
            {"name": "three", "skip_reason": "not there"},
        ]
    }
    assert told(said) == (2, ["three"], ["one 1: PYSEC-1, mended in 2"])


def test_traces_go_with_either_variant_of_the_container() -> None:
    names = {canonicalize_name(Requirement(text).name) for text in requirements("tracing")}
    assert "opentelemetry-sdk" in names
    # There are two packages of it with the same files.
    assert not [name for name in names if name.startswith("onnxruntime")]
