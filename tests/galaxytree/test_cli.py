"""The command line: in processes of its own against a running service, and in this one where something is missing."""

import hashlib
import json
import re
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from app.settings import Settings
from galaxytree import cli
from galaxytree.cli import main
from galaxytree.decision_tree import DecisionTree, load_tree
from galaxytree.survey_cli import score
from tests.galaxies import encode, jpeg, png
from tests.servers import Process, galaxytree, threaded
from tests.tiny_model import write_model


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.png").write_bytes(png(2))
    return [str(tmp_path / "a.jpg"), str(tmp_path / "b.png")]


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, words, env={f"GALAXYTREE_{name.upper()}": it for name, it in environment.items()})


def test_images_through_a_service(service: Process, images: list[str]) -> None:
    ended = galaxytree("classify", *images, server=service.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"{images[0]}: 1 view\n" in ended.stdout
    assert load_tree("galaxy-zoo-2").questions[0].text in ended.stdout
    assert "%" in ended.stdout


def test_json_through_a_service_and_in_this_process_is_the_same(
    service: Process, images: list[str], model_folder: Path
) -> None:
    served = galaxytree("classify", *images, "--server", service.url, "--json")
    local = galaxytree("classify", *images, "--local", "--json", model=str(model_folder), device="cpu")
    assert (served.returncode, local.returncode) == (0, 0), (served, local)
    assert served.stdout == local.stdout
    first, second = map(json.loads, served.stdout.splitlines())
    assert [first["file"], second["file"]] == images
    assert len(first["scores"]) == 37


def test_what_fails_is_listed_and_the_rest_goes_on(service: Process, images: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    odd = [str(tmp_path / "nowhere.jpg"), str(tmp_path), str(tmp_path / "text.jpg")]
    ended = run("classify", odd[0], images[0], odd[1], odd[2], images[1], "--json", server=service.url)
    assert ended.exit_code == 1
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["file"] for line in lines] == [odd[0], images[0], odd[1], odd[2], images[1]]
    assert [line["error"]["code"] for line in lines if "error" in line] == [
        "unreadable_file", "unreadable_file", "undecodable_image"
    ]  # fmt: skip
    assert [line["file"] for line in lines if "scores" in line] == images
    listed = ended.stderr.splitlines()
    assert listed[0] == f"{odd[0]}: unreadable_file: No such file or directory"
    assert listed[1] == f"{odd[1]}: unreadable_file: Is a directory"
    assert listed[2].startswith(f"{odd[2]}: undecodable_image: ")
    assert listed[3] == "3 of 5 images failed"


def test_scores_alone(service: Process, images: list[str]) -> None:
    ended = run("classify", images[0], "--detail", "scores", server=service.url)
    assert ended.exit_code == 0
    assert len(ended.stdout.splitlines()) == 38
    assert "  Class11.6    " in ended.stdout


def test_views_of_each_image(service: Process, images: list[str], model_folder: Path) -> None:
    served = run("classify", images[1], "--views", "8", "--json", server=service.url)
    local = run("classify", images[1], "--local", "--views", "8", "--json", model=str(model_folder), device="cpu")
    as_set = run("classify", images[1], "--local", "--json", model=str(model_folder), device="cpu", views="8")
    assert [json.loads(ended.stdout)["views"] for ended in (served, local, as_set)] == [8, 8, 8]
    assert served.stdout == local.stdout == as_set.stdout
    told = run("classify", images[1], "--views", "8", server=service.url)
    assert told.stdout.startswith(f"{images[1]}: 8 views\n")
    alone = run("classify", images[1], "--views", "1", "--json", server=service.url, views="8")
    assert json.loads(alone.stdout)["views"] == 1
    assert json.loads(alone.stdout)["scores"] != json.loads(served.stdout)["scores"]


@pytest.mark.parametrize("views", ["2", "eight"])
def test_views_that_cannot_be(images: list[str], views: str) -> None:
    ended = run("classify", *images, "--views", views)
    assert ended.exit_code == 2
    assert "--views" in ended.stderr


def test_a_model_that_says_how_sure_it_is_and_what_it_does_not_know(images: list[str], tmp_path: Path) -> None:
    model = write_model(tmp_path / "rich", outputs=("scores", "uncertainty", "uncertainty_95", "out_of_domain"))
    unlike = tmp_path / "white.png"
    unlike.write_bytes(encode(np.full((40, 40, 3), 255, np.uint8), "PNG"))
    call = ("classify", images[1], str(unlike), "--local")
    told, scores, lines = (run(*call, *more, model=str(model)) for more in ((), ("--detail", "scores"), ("--json",)))
    known, flagged = told.stdout.split(f"{unlike}: ")
    assert re.search(r" \d+%  \S.*  \(score \d\.\d\d ± \d\.\d\d\)\n", known)
    first, second = map(json.loads, lines.stdout.splitlines())
    # Each says it once: in the summary where there is one, else on a line of its own.
    warning = "\n  This does not look like the galaxies the model knows; take the answer with care."
    assert known.startswith(f"{images[1]}: 1 view, out of domain {first['out_of_domain']}\n")
    assert flagged.startswith(f"1 view, out of domain {second['out_of_domain']}{warning}")
    assert (known.count(warning), flagged.count(warning), scores.stdout.count(warning)) == (0, 1, 1)
    score, error = first["scores"]["Class1.1"], first["uncertainty"]["Class1.1"]
    assert f"  Class1.1     {score:.6f} ± {error:.6f}\n" in scores.stdout
    assert first["uncertainty_95"]["Class1.1"] > 2 * error > 0
    assert first["questions"][0]["answers"][0]["uncertainty_95"] == first["uncertainty_95"]["Class1.1"]
    assert first["out_of_domain"] < 0.5 < second["out_of_domain"]


def test_nobody_answers(images: list[str]) -> None:
    ended = run("classify", *images, server="http://127.0.0.1:1")
    assert ended.exit_code == 1
    assert ended.stderr.count(": unreachable: ") == 2


def test_several_services_of_which_one_is_not_there(service: Process, images: list[str]) -> None:
    nobody = "http://127.0.0.1:1"
    ways: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("--server", nobody, "--server", service.url), {}),
        (("--server", f"{nobody},{service.url}"), {}),
        ((), {"server": f"{nobody},{service.url}"}),
        ((), {"server": f"{nobody} {service.url}"}),
    ]
    for words, environment in ways:
        ended = run("classify", *images, *words, **environment)
        assert (ended.exit_code, ended.stderr) == (0, ""), ended


@pytest.mark.parametrize("server", ["localhost:8000", "ftp://a", "http://", "http://a:b"])
def test_an_address_that_is_none(images: list[str], server: str) -> None:
    ended = run("classify", *images, "--server", server)
    assert ended.exit_code == 2
    assert "no address of a service" in ended.stderr


def test_a_key_is_asked_for_once(model_folder: Path, images: list[str], tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\nname = "a"\nsha256 = "{hashlib.sha256(b"sesame").hexdigest()}"\n')
    with threaded(Settings(model=model_folder, device="cpu", api_keys_file=keys, max_batch=1)) as one:
        assert run("classify", *images, server=one.url, api_key="sesame").exit_code == 0
        ended = run("classify", *images, "--server", one.url)
    assert ended.exit_code == 2
    assert ended.stderr.count("unauthorized") == 1
    assert "GALAXYTREE_API_KEY" in ended.stderr


def test_a_service_without_room_for_the_views_is_no_matter_of_the_images(model_folder: Path, images: list[str]) -> None:
    with threaded(Settings(model=model_folder, device="cpu", max_batch=7)) as one:
        ended = run("classify", *images, "--views", "8", server=one.url)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.count("invalid_request: This service has no room for 8 views") == 1
    assert "failed" not in ended.stderr


def test_out_of_domain_is_never_rounded_to_the_threshold_that_it_is_above(images: list[str], tmp_path: Path) -> None:
    outputs = ("scores", "out_of_domain")
    plain = write_model(tmp_path / "plain", outputs=outputs)
    told = json.loads(run("classify", images[1], "--local", "--json", model=str(plain)).stdout)
    plus = {"out_of_domain": 0.504 - told["out_of_domain"]}
    moved = write_model(tmp_path / "moved", outputs=outputs, plus=plus)
    ended = run("classify", images[1], "--local", model=str(moved))
    assert re.match(re.escape(images[1]) + r": 1 view, out of domain 0\.50[34]\d*\n  This does not", ended.stdout)


def test_a_call_without_images() -> None:
    assert run("classify").exit_code == 2


def test_a_model_that_is_refused(images: list[str], tmp_path: Path) -> None:
    ended = run("classify", *images, "--local", model=str(tmp_path))
    assert ended.exit_code == 2
    assert "there is no model in" in ended.stderr


@pytest.mark.parametrize("name", ["galaxy-zoo-2", "candels"])
def test_a_tree(name: str) -> None:
    ended = run("tree", name)
    assert ended.exit_code == 0
    for question in load_tree(name).questions:
        assert question.text in ended.output
    for column in load_tree(name).columns:
        assert column in ended.output
    assert DecisionTree.model_validate_json(run("tree", name, "--json").output) == load_tree(name)


def test_the_tree_that_is_meant() -> None:
    assert run("tree").output == run("tree", "galaxy-zoo-2").output
    assert "add up to Class1.2" in run("tree").output


def test_a_tree_that_does_not_exist() -> None:
    ended = run("tree", "oak")
    assert ended.exit_code == 2
    assert "known are candels, galaxy-zoo-2" in ended.stderr


def options() -> list[tuple[str, click.Option]]:
    return [
        (name, option)
        # That of surveys is loaded when it is asked for.
        for name, command in (*sorted(main.commands.items()), ("score", score))
        for option in command.params
        if isinstance(option, click.Option)
    ]


@pytest.mark.parametrize(("name", "option"), options())
def test_every_option_is_an_environment_variable_and_explained(name: str, option: click.Option) -> None:
    told = " ".join(run(name, "--help").output.split())
    assert str(option.envvar).startswith("GALAXYTREE_")
    assert str(option.envvar) in told
    assert option.opts[-1] in told
    assert option.help


def test_the_service_s_command_is_found() -> None:
    assert "serve" in run("--help").output
    assert "--max-image-bytes" in run("serve", "--help").output
    assert run("dance").exit_code == 2


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints(
        [
            EntryPoint("serve", "no_such_package.cli:serve", "galaxytree.commands"),
            EntryPoint("local", "no_such_package.local:Engine", "galaxytree.engines"),
        ]
    )
    monkeypatch.setattr(cli, "entry_points", found.select)


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_not_installed_says_how_to_install_it(images: list[str]) -> None:
    assert "Not installed: pip install 'galaxytree[serve]'" in run("--help").output
    for words in (["serve", "--port", "1"], ["classify", "--local", *images]):
        ended = run(*words)
        assert ended.exit_code == 2
        assert "no_such_package" in ended.stderr
        assert "pip install 'galaxytree[serve]'" in ended.stderr


def test_no_engine_at_all(monkeypatch: pytest.MonkeyPatch, images: list[str]) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda **_: [])
    ended = run("classify", "--local", *images)
    assert ended.exit_code == 2
    assert "no engine" in ended.stderr
