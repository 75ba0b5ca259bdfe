"""Whatever stops a survey, the same command goes on, and the table is the one of an undisturbed run."""

import errno
import os
import resource
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from astropy.table import Table

from galaxytree.tables.selection import selected
from tests.galaxytree.survey.calls import ledger_of, manifest_of, parts_of, read, score, scoring, url, write_catalogue
from tests.galaxytree.survey.stand_in import StandIn, standing_in
from tests.servers import PATIENCE_SECONDS, wait_for

CHUNKS = ("--chunk-rows", "5", "--concurrency", "2")
IN_FLIGHT = 10


@pytest.fixture
def undisturbed(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> bytes:
    """Return the table of a run that nothing happened to."""
    out = tmp_path / "undisturbed.parquet"
    assert score(catalogue, out, server=stand_in.url).exit_code == 0
    stand_in.asked.clear()
    stand_in.calls.clear()
    return out.read_bytes()


def hold(stand_in: StandIn, calls: int) -> None:
    """Have the stand-in answer so many more calls, and no more."""
    stand_in.holds = len(stand_in.calls) + calls
    stand_in.gate.clear()


def release(stand_in: StandIn) -> None:
    stand_in.holds = None
    stand_in.gate.set()


def test_killed_three_times(stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "out.parquet"
    for round_ in range(3):
        hold(stand_in, 4)
        with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
            wait_for(lambda least=4 * (round_ + 1): len(parts_of(out)) >= least, "parts")
            wait_for(lambda: len(stand_in.calls) >= (stand_in.holds or 0) + 2, "all that is in flight")
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not out.exists()
        # Nobody listens any more to what is held.
        release(stand_in)
    assert 12 <= len(parts_of(out)) < 20
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    assert "60 of 100 rows (60.0%), 0 failed" in ended.stderr
    assert out.read_bytes() == undisturbed
    assert sum(size for size, _ in stand_in.calls) == 100 + 3 * IN_FLIGHT
    assert set(stand_in.asked) == {url(number) for number in range(100)}
    assert not ledger_of(out).exists()


def test_killed_while_what_failed_is_tried_again(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g00"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    failed = out.read_bytes()
    stand_in.failing = set()
    hold(stand_in, 4)
    parts = {name: (ledger_of(out) / name).stat().st_ino for name in parts_of(out)}

    def kept() -> int:
        return sum((ledger_of(out) / name).stat().st_ino != before for name, before in parts.items())

    with scoring(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url) as process:
        wait_for(lambda: len(stand_in.calls) >= (stand_in.holds or 0) + 2, "some to be tried again")
        wait_for(lambda: kept() >= 2, "some to be kept")
        process.kill()
        process.wait()
    release(stand_in)
    # The table is what it was, until there is another one.
    assert out.read_bytes() == failed
    # Without trying any again, it is written with those that have scores now.
    assert score(catalogue, out, *CHUNKS, server="http://127.0.0.1:9").exit_code == 1
    scored = [row["url"] for row in read(out).to_pylist() if row["status"] == "ok"]
    assert 10 <= len(scored) <= 20
    assert score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed
    assert {stand_in.asked[one] for one in scored} == {2}
    # Those that were answered, and not kept yet, are as many as those that were not answered.
    assert stand_in.asked.total() <= 200 + 2 * IN_FLIGHT


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes, stop: signal.Signals
) -> None:
    out = tmp_path / "out.parquet"
    hold(stand_in, 4)
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
        wait_for(lambda: len(parts_of(out)) >= 4, "parts")
        process.send_signal(stop)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert said.endswith(
        "Error: stopped. What was scored is kept beside the output: the same command goes on from there\n"
    )
    assert "Traceback" not in said
    assert len(parts_of(out)) == 4
    release(stand_in)
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed


def test_a_service_that_dies_and_another_that_goes_on(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    with standing_in() as dying:
        hold(dying, 4)
        with scoring(catalogue, out, *CHUNKS, "--patience-seconds", "0.5", server=dying.url) as process:
            wait_for(lambda: len(parts_of(out)) >= 4, "parts")
            dying.stop()
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "unreachable: " in said
    assert "What was scored is kept: the same command goes on from there." in said
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed
    assert sum(size for size, _ in stand_in.calls) == 80


def test_a_full_disk(stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "out.parquet"

    def no_parts() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    def no_table() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    with scoring(catalogue, out, *CHUNKS, server=stand_in.url, preexec_fn=no_parts) as process:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "storage_failed: " in said
    assert "File too large. Set this right, for instance by making room, and give the same command again" in said
    assert sorted(path.name for path in ledger_of(out).iterdir()) == ["lock", "manifest.json"]
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url, preexec_fn=no_table) as process:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "(File too large). All rows are scored, and kept: set this right, and the same command writes them" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "galaxies.parquet", "out.parquet.ledger", "undisturbed.parquet"
    ]  # fmt: skip
    calls = len(stand_in.calls)
    # What is left to do needs no service.
    assert score(catalogue, out, *CHUNKS, server="http://127.0.0.1:9").exit_code == 0
    assert len(stand_in.calls) == calls
    assert out.read_bytes() == undisturbed


def test_parts_that_are_damaged_are_scored_again(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    ledger = ledger_of(out)
    cut, turned, moved, empty = (ledger / f"part-{first:09d}.parquet" for first in (0, 10, 20, 30))
    cut.write_bytes(cut.read_bytes()[:-20])
    data = bytearray(turned.read_bytes())
    data[300] ^= 1
    turned.write_bytes(data)
    moved.write_bytes((ledger / "part-000000040.parquet").read_bytes())
    empty.write_bytes(b"")
    (ledger / "part-000000050.parquet.writing").write_bytes(b"half a part")
    (ledger / "part-000000003.parquet").write_bytes((ledger / "part-000000040.parquet").read_bytes())
    (ledger / "notes.txt").write_text("mine")
    (tmp_path / ".out.parquet.123.unfinished").write_bytes(b"half a table")
    stand_in.failing = set()
    ended = score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url)
    assert ended.exit_code == 0, ended.output
    for path in (cut, turned, moved, empty, ledger / "part-000000003.parquet"):
        assert f"{path} is damaged: its rows are scored again" in ended.stderr
    again = [url(number) for first in (0, 10, 20, 30) for number in range(first, first + 5)]
    assert {name for name, times in stand_in.asked.items() if times == 2} == {*again, url(99)}
    assert out.read_bytes() == undisturbed
    # What isn't the ledger's stays.
    assert [path.name for path in ledger.iterdir()] == ["notes.txt"]
    assert not (tmp_path / ".out.parquet.123.unfinished").exists()


def test_a_part_that_is_lost_between_scoring_and_writing(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"

    def lose(*_: object) -> None:
        (ledger_of(out) / "part-000000010.parquet").write_bytes(b"")

    monkeypatch.setattr("galaxytree.survey.check_place", lambda *_: None)
    monkeypatch.setattr("galaxytree.survey_output.check_place", lose)
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 2
    assert "part-000000010.parquet can't be read any more" in ended.stderr
    monkeypatch.undo()
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert Counter(stand_in.asked.values()) == {1: 95, 2: 5}


def test_a_ledger_that_cannot_be_read_now_is_left_as_it_is(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    part = ledger_of(out) / "part-000000010.parquet"
    part.unlink()
    part.mkdir()
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 2
    assert "storage_failed" in ended.stderr
    assert "Is a directory" in ended.stderr
    assert len(parts_of(out)) == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "mag > 1"], "it was begun without --where, this call has 'mag > 1'"),
        (["--limit", "50"], "it was begun without --limit, this call has 50"),
        (["--detail", "full"], "--detail 'scores', this call has 'full'"),
        (["--views", "8"], "it was begun without --views, this call has 8"),
        (["--prefix", "gz_"], "--prefix '', this call has 'gz_'"),
        (["--columns", "mag"], "--columns ['objid', 'url', 'mag'], this call has ['mag']"),
        (["--chunk-rows", "6"], "--chunk-rows 5, this call has 6"),
        (["--path-column", "url"], "images '--url-column url', this call has '--path-column url'"),
    ],
)
def test_another_survey_is_refused(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    before = {path.name: path.read_bytes() for path in ledger_of(out).iterdir()}
    calls = len(stand_in.calls)
    ended = score(catalogue, out, *CHUNKS, "--retry-failed", *words, server=stand_in.url)
    assert ended.exit_code == 2
    assert "survey_differs: " in ended.stderr
    assert said in ended.stderr
    assert {path.name: path.read_bytes() for path in ledger_of(out).iterdir()} == before
    assert len(stand_in.calls) == calls


def test_a_survey_that_was_begun_with_more_is_refused(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0009"}
    words = ["--views", "8", "--limit", "10"]
    assert score(catalogue, out, *CHUNKS, *words, server=stand_in.url).exit_code == 1
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert "it was begun with --limit 10, this call has none; with --views 8, this call has none. Go" in ended.stderr


def test_another_catalogue_is_refused(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    begun = manifest_of(out)["survey"]["catalogue (sha256)"]
    write_catalogue(catalogue, 101)
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 2
    assert f"catalogue (sha256) '{begun}', this call has '" in ended.stderr


def test_another_model_is_refused(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    stand_in.name, stand_in.network = "another", "f" * 64
    ended = score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url)
    assert ended.exit_code == 2
    assert "model 'stand-in 2026.11.1', the service has 'another 2026.11.1'" in ended.stderr
    assert f"network (sha256) '{'a' * 64}', the service has '{'f' * 64}'" in ended.stderr
    assert read(out)["status"].to_pylist() == ["ok"] * 99 + ["error"]


def test_a_network_that_changes_on_the_way_is_not_mixed_in(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    stand_in.changes_after = len(stand_in.calls) + 6
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 2
    assert f"network_changed: an answer came from the network {'e' * 64}, and the survey was begun with {'a' * 64}" in (
        ended.stderr
    )
    assert not out.exists()
    # The other network's answer may come before what was asked earlier is kept.
    assert 2 <= len(parts_of(out)) <= 6
    stand_in.changes_after = None
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed


@pytest.mark.parametrize("in_place", [True, False])
def test_a_catalogue_that_changes_on_the_way(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_place: bool
) -> None:
    # Few rows are read at once, so that those which are read later are those of the other catalogue.
    monkeypatch.setattr("galaxytree.survey_rows.READ_ROWS", 5)
    catalogue, out = tmp_path / "galaxies.fits", tmp_path / "out.fits"
    Table({"url": [url(number) for number in range(100)], "note": ["-" * 5000] * 100}).write(catalogue)
    was = catalogue.read_bytes()
    undisturbed = tmp_path / "undisturbed.fits"
    assert score(catalogue, undisturbed, server=stand_in.url).exit_code == 0
    stand_in.asked.clear()
    hold(stand_in, 4)

    def change() -> None:
        wait_for(lambda: len(parts_of(out)) >= 4, "parts")
        if not in_place:
            catalogue.rename(tmp_path / "kept")
        catalogue.write_bytes(was.replace(b"/g00", b"/h00"))
        release(stand_in)

    changing = threading.Thread(target=change)
    changing.start()
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    changing.join(PATIENCE_SECONDS)
    assert ended.exit_code == 2
    assert "unfit_catalogue: " in ended.stderr
    assert "was changed while it was scored: nothing is written" in ended.stderr
    assert not out.exists()
    assert "survey_differs: " in score(catalogue, out, *CHUNKS, server=stand_in.url).stderr
    catalogue.write_bytes(was)
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert set(stand_in.asked) == {url(number) for number in range(100)}
    assert out.read_bytes() == undisturbed.read_bytes()


def test_a_catalogue_that_is_only_touched_on_the_way(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    hold(stand_in, 4)
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
        wait_for(lambda: len(parts_of(out)) >= 4, "parts")
        os.utime(catalogue)
        release(stand_in)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    assert out.read_bytes() == undisturbed


def test_what_a_killed_run_left_unfinished_goes_and_nothing_else(
    stand_in: StandIn, catalogue: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    ours = [".out.csv.123.unfinished", ".out.csv.123.unfinished-metadata.json"]
    others = [".out.csv.gz.123.unfinished", ".out.csv.1.csv.123.unfinished"]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    assert score(catalogue, out, server=stand_in.url).exit_code == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"galaxies.parquet", "out.csv", "out.csv-metadata.json", *others}


def test_two_at_once(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    hold(stand_in, 4)
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
        wait_for(lambda: len(parts_of(out)) >= 4, "parts")
        ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
        assert ended.exit_code == 2
        assert f"ledger_locked: another galaxytree works on this survey: it holds {ledger_of(out) / 'lock'}" in (
            ended.stderr
        )
        release(stand_in)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert read(out).num_rows == 100


@pytest.mark.parametrize("text", ["{", "{}", '{"format": 2}'])
def test_a_manifest_that_is_none(stand_in: StandIn, catalogue: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.parquet"
    ledger_of(out).mkdir()
    (ledger_of(out) / "manifest.json").write_text(text)
    ended = score(catalogue, out, server=stand_in.url)
    assert ended.exit_code == 2
    assert "ledger_unreadable: " in ended.stderr
    assert f"remove {ledger_of(out)} to begin anew" in ended.stderr
    assert (ledger_of(out) / "manifest.json").read_text() == text


def test_a_ledger_that_cannot_be_made(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = score(catalogue, tmp_path / "file" / "out.parquet", server=stand_in.url)
    assert ended.exit_code == 2
    assert "storage_failed: " in ended.stderr


@pytest.mark.parametrize("step", ["Ledger.remove", "Ledger.note_output"])
def test_the_last_steps_can_be_taken_again(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    monkeypatch.setattr(f"galaxytree.ledger.{step}", killed)
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 2
    assert out.read_bytes() == undisturbed
    monkeypatch.undo()
    if step == "Ledger.remove":
        # It had got half-way.
        for part in parts_of(out)[:10]:
            (ledger_of(out) / part).unlink()
    ended = score(catalogue, out, *CHUNKS, server="http://127.0.0.1:9")
    assert ended.exit_code == 0, ended.output
    assert out.read_bytes() == undisturbed
    assert not ledger_of(out).exists()


def test_stopped_while_the_table_is_written(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    monkeypatch.setattr("galaxytree.survey_output._metadata", lambda *_: signal.raise_signal(signal.SIGTERM))
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert ended.exit_code == 2
    assert "stopped." in ended.stderr
    assert not out.exists()
    monkeypatch.undo()
    assert score(catalogue, out, *CHUNKS, server="http://127.0.0.1:9").exit_code == 0
    assert out.read_bytes() == undisturbed


def test_asked_to_stop_in_this_process(stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "out.parquet"
    hold(stand_in, 4)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def interrupt() -> None:
        wait_for(lambda: len(parts_of(out)) >= 4, "parts")
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    other.join()
    assert ended.exit_code == 2
    assert "stopped." in ended.stderr
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    release(stand_in)
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed


@pytest.mark.parametrize("what", ["galaxytree.durable.os.fsync", "galaxytree.catalogue.flush"])
def test_a_disk_that_is_full_just_when_it_is_to_be_flushed(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0099"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    was = out.read_bytes()
    stand_in.failing = set()
    monkeypatch.setattr(what, full)
    ended = score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url)
    assert ended.exit_code == 2
    assert "storage_failed: " in ended.stderr
    assert "No space left on device" in ended.stderr
    assert "the same command" in ended.stderr
    assert out.read_bytes() == was
    assert not [path for path in [*tmp_path.iterdir(), *ledger_of(out).iterdir()] if "writing" in path.name]
    monkeypatch.undo()
    assert score(catalogue, out, *CHUNKS, "--retry-failed", server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed


def test_an_image_that_stalls_holds_up_its_chunk_and_not_the_survey(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "out.parquet"
    # The last that is answered of the first chunk.
    stand_in.stalling = {"g0000"}
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
        wait_for(lambda: len(parts_of(out)) == 19, "all parts but one")
        assert process.poll() is None
        stand_in.gate.set()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert out.read_bytes() == undisturbed


def test_what_stalls_counts_as_unanswered(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    # Of each chunk of five the last that is answered.
    stand_in.stalling = {f"g00{number:02d}" for number in range(0, 100, 5)}
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url) as process:
        # Another is begun while five or fewer are unanswered; of each that is in flight one is.
        wait_for(lambda: len(stand_in.calls) == 6, "calls")
        time.sleep(0.3)
        assert len(stand_in.calls) == 6
        assert parts_of(out) == []
        stand_in.gate.set()
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_condition_that_selects_other_rows_each_time(stand_in: StandIn, catalogue: Path, tmp_path: Path) -> None:
    # By chance: refused before an image is asked for, since a score would come to stand at another galaxy.
    ended = score(catalogue, tmp_path / "chance.parquet", "--where", "random() < 0.5", server=stand_in.url)
    assert ended.exit_code == 2
    assert "bad_filter: 'random() < 0.5' doesn't select the same rows each time" in ended.stderr
    assert not stand_in.calls
    assert not (tmp_path / "chance.parquet").exists()


def test_a_condition_that_selects_other_rows_later(
    stand_in: StandIn, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, condition = tmp_path / "out.parquet", "mag < 3 + 3 * (now() > TIMESTAMPTZ '2100-01-01')::INT"
    stand_in.failing = {"g0029"}
    assert score(catalogue, out, "--where", condition, server=stand_in.url).exit_code == 1
    # In a hundred years or so.
    monkeypatch.setattr("galaxytree.catalogue.where", lambda table, _: selected(table, "mag < 6"))
    ended = score(catalogue, out, "--where", condition, "--retry-failed", server=stand_in.url)
    assert ended.exit_code == 2
    assert "survey_differs: " in ended.stderr
    assert "--where (rows, sha256)" in ended.stderr
    assert read(out).num_rows == 30


def test_parts_without_a_manifest_are_nobodys(stand_in: StandIn, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    before = write_catalogue(tmp_path / "before.parquet", 20, url=[url(500 + number) for number in range(20)])
    stand_in.failing = {"g0500"}
    assert score(before, out, *CHUNKS, server=stand_in.url).exit_code == 1
    # As a removal leaves it that was stopped half-way.
    (ledger_of(out) / "manifest.json").unlink()
    stand_in.failing = set()
    catalogue = write_catalogue(tmp_path / "galaxies.parquet", 20)
    assert "output_exists: " in score(catalogue, out, *CHUNKS, server=stand_in.url).stderr
    out.unlink()
    hold(stand_in, 1)
    with scoring(catalogue, out, *CHUNKS, server=stand_in.url):
        wait_for(lambda: len(stand_in.calls) >= (stand_in.holds or 0) + 1, "the survey to begin")
    release(stand_in)
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 0
    assert all(stand_in.asked[url(number)] for number in range(20))
    undisturbed = tmp_path / "undisturbed.parquet"
    assert score(catalogue, undisturbed, server=stand_in.url).exit_code == 0
    assert out.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("text", ["", "[1]"])
def test_a_note_that_is_none(stand_in: StandIn, catalogue: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.parquet"
    stand_in.failing = {"g0029"}
    assert score(catalogue, out, *CHUNKS, server=stand_in.url).exit_code == 1
    (ledger_of(out) / "output.json").write_text(text)
    ended = score(catalogue, out, *CHUNKS, server=stand_in.url)
    assert (ended.exit_code, "output_exists: " in ended.stderr) == (2, True)
    assert score(catalogue, out, *CHUNKS, "--overwrite", server=stand_in.url).exit_code == 1
    assert set(stand_in.asked.values()) == {1}
