"""``galaxytree key``: what it writes is what a service reads."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.keys import ApiKeys
from app.refusals import KeysRefusedError
from galaxytree.cli import main
from tests.app.callers import write_keys
from tests.servers import environment


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["key", *words])


def shown(ended: Result) -> str:
    found = re.search(r": (gxt_[A-Za-z0-9_-]{43})\n$", ended.stderr)
    assert found, ended.stderr
    return found[1]


def test_a_service_knows_the_key_by_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    names = ["survey", 'the "page" of Łódź \\ 😀']
    made = [
        run(names[0]),
        run(names[1], "--scope", "admin", "--scope", "metrics", "--requests-per-second", "2.5", "--burst", "10",
            "--concurrent-requests", "3", "--images-per-day", "1000"),
    ]  # fmt: skip
    path.write_text("".join(ended.stdout for ended in made), "utf-8")
    keys = ApiKeys.read(path)
    first, second = (keys.check(shown(ended).encode()).key for ended in made)
    assert [first.name, second.name] == names
    assert (first.scopes, first.limits.are_any) == ({"classify", "batch"}, False)
    assert second.scopes == {"admin", "metrics"}
    assert second.limits.model_dump() == {
        "requests_per_second": 2.5, "burst": 10, "concurrent_requests": 3, "images_per_day": 1000
    }  # fmt: skip


def test_the_way_that_the_docs_show_adds_a_caller(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    (commands,) = re.findall(
        r"```sh\n(.*?)```", page.partition("### The file of keys")[2].partition("###")[0], re.DOTALL
    )
    file = write_keys(tmp_path, page="open")
    file.chmod(0o640)
    before = file.stat()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-ec", commands],
        cwd=tmp_path,
        env={**environment(), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    key = done.stderr.rpartition(" ")[2].strip()
    keys = ApiKeys.read(file)
    assert [keys.check(each.encode()).key.name for each in ("open", key)] == ["page", "survey pipeline"]
    # It is another file, with the rights of the one before.
    assert [file] == list(tmp_path.iterdir())
    assert file.stat().st_ino != before.st_ino
    assert file.stat().st_mode == before.st_mode
    # The same once more is what the docs warn of: the name is there twice.
    subprocess.run(
        ["/bin/sh", "-ec", commands], cwd=tmp_path, env={**environment(), "PATH": path}, capture_output=True, check=True
    )
    with pytest.raises(KeysRefusedError, match="'survey pipeline' is there more than once"):
        ApiKeys.read(file)


def test_the_key_is_in_nothing_that_is_kept() -> None:
    ended = run("survey")
    assert shown(ended) not in ended.stdout
    assert shown(ended) != shown(run("survey"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "--burst", "3"], "--burst needs"),
        (["a", "--scope", "root"], "'root' is not one of"),
        (["a\nb"], "can be printed"),
        ([""], "can be printed"),
        (["a" * 101], "can be printed"),
        (["a", "--requests-per-second", "0"], "x>0"),
        ([], "Missing argument"),
    ],
)
def test_calls_that_are_wrong(words: list[str], says: str) -> None:
    ended = run(*words)
    assert ended.exit_code == 2
    assert says in ended.stderr
