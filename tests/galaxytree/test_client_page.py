"""Every example of docs/client.md, run as it stands there, against two services."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from galaxytree.decision_tree import load_tree
from tests.image_host import image_host
from tests.servers import serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SAYS = {
    "client.classify(np.asarray": r"[A-Z].*\.\ntiny \S+ 0\.\d+\n$",
    "client.classify(URL": r"64 pixels wide: [A-Z].*\.\n$",
    "load_tree": re.escape(load_tree("galaxy-zoo-2").questions[0].text) + r" .*: \d\.\d\d\n",
    "concurrency=64": r"docs/figures/answer\.jpg 0\.\d+\ndocs/figures/galaxy\.jpg 0\.\d+\n$",
    "asyncio.run": r".*\.\n0 ok\n1 unreadable_file\n$",
    "to_table": r"(?s).*Class1\.1.*galaxy\.jpg +0\.\d+ +ok.*nowhere\.jpg +NaN +error +unreadable_file",
    "except ImageRefusedError": r"another image, please: undecodable_image ",
    "patience_seconds=": r"$",
    "8001": r"100 of 100\n$",
}


@pytest.fixture(scope="module")
def addresses(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start what the page's addresses stand for; return what to put in their place."""
    logs = tmp_path_factory.mktemp("services")
    with image_host() as images:
        settings = {"model": str(model_folder), "fetch_hosts": images.hosts, "workers": "1"}
        with serving(logs / "one", **settings) as one, serving(logs / "another", **settings) as another:
            yield {
                r"http://127\.0\.0\.1:8000": one.url,
                r"http://127\.0\.0\.1:8001": another.url,
                r"https://skyserver\.sdss\.org/[^\"]*": f"{images.url}/galaxy/1",
            }


def test_all_examples_are_known() -> None:
    assert [[key for key in SAYS if key in example] for example in EXAMPLES] == [[key] for key in SAYS]


@pytest.mark.parametrize("example", EXAMPLES, ids=SAYS)
def test_an_example(
    example: str,
    addresses: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(ROOT / "docs" / "figures", tmp_path / "docs" / "figures")
    monkeypatch.chdir(tmp_path)
    (says,) = (SAYS[key] for key in SAYS if key in example)
    for address, there in addresses.items():
        example = re.sub(address, there, example)
    exec(compile(example, "docs/client.md", "exec"), {"__name__": "__main__"})  # noqa: S102 (the page's own)
    said = capsys.readouterr().out
    assert re.match(says, said), said
