"""Preparing: what Kaggle serves, what Galaxy Zoo 2 released, and whatever is wrong with either."""

import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from galaxytree.decision_tree import load_tree
from galaxytree.imaging import GALAXY_ZOO_FRAMING, EncodedImage, Framing, decode
from tests.galaxies import draw_galaxy, encode, jpeg, png
from tests.training.conftest import training
from tests.training.galaxies import ROUND, THIN, votes_of
from training.arrays import Galaxies, read_galaxies
from training.pictures import pictures_in
from training.votes import Votes, kind_of

TREE = load_tree("galaxy-zoo-2")
KNOWN_TO_PARTIAL = [name for name in TREE.columns if name.partition(".")[0] in {f"Class{n}" for n in (1, 2, 6, 7, 8)}]
REAL = Path(__file__).parents[2] / ".." / "shared" / "galaxy-zoo"

Rows = Iterable[Sequence[object]]


def table(header: Sequence[str], rows: Rows) -> bytes:
    """Return a CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def solutions(names: Iterable[str], columns: Sequence[str] = TREE.columns) -> bytes:
    """Return a table as Kaggle's, of galaxies that are round and thin in turn."""
    rows = []
    for number, name in enumerate(names):
        votes = votes_of(*(THIN if number % 2 else ROUND))
        rows.append([name, *(votes[TREE.index[column]] for column in columns)])
    return table(["GalaxyID", *columns], rows)


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    """Put files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class Prepared:
    """What ``prepare`` made of some sources."""

    def __init__(self, output: Path, *words: str | Path) -> None:
        usual = ("--size=32", "--validation-part=0", "--no-unlabelled")
        self.result = training("prepare", "--output", output, *usual, *words)
        assert self.result.exit_code == 0, self.result.output
        self.galaxies: Galaxies = read_galaxies(output)
        report = json.loads(output.with_suffix(".report.json").read_text("utf-8"))
        self.counts: dict[str, int] = report["counts"]
        self.problems: list[list[str]] = report["problems"]

    @property
    def names(self) -> set[str]:
        return set(self.galaxies.names.tolist())

    def votes(self, name: str) -> Any:  # noqa: ANN401  (an array)
        return self.galaxies.votes[self.galaxies.names.tolist().index(name)]

    def found(self, problem: str) -> list[str]:
        """Return where a problem was found, and hold that it was counted as often as it is listed."""
        where = [place for what, place in self.problems if what == problem]
        assert self.counts.get(problem, 0) == len(where)
        return where


PICTURES = {f"{name}.jpg": jpeg(seed, 64) for seed, name in enumerate(["100008", "100023", "100053", "100078"])}
NAMES = ["100008", "100023", "100053", "100078"]


# What Kaggle serves.


@pytest.mark.parametrize("pictures", ["folder", "zip", "tar", "PNGs"])
@pytest.mark.parametrize("votes", ["csv", "zip", "gz"])
def test_kaggles_files_are_read_in_every_form(tmp_path: Path, pictures: str, votes: str) -> None:
    shadow = {"__MACOSX/images_training_rev1/._100008.jpg": b"\0\5\26\7shadow"}
    in_folder = {f"images_training_rev1/{name}": data for name, data in PICTURES.items()}
    source = lay(
        tmp_path / "kaggle",
        {
            "folder": in_folder | {"images_training_rev1/._100008.jpg": b"shadow", "images_training_rev1/notes": b""},
            "zip": {"images_training_rev1.zip": zipped(in_folder | shadow)},
            "tar": {"images_training_rev1.tar": tarred({f"./{name}": data for name, data in in_folder.items()})},
            "PNGs": {f"{name}.PNG": png(seed, 64) for seed, name in enumerate(NAMES)},
        }[pictures],
    )
    rows = solutions(NAMES)
    name = "training_solutions_rev1"
    lay(
        source,
        {
            "csv": {f"{name}.csv": rows},
            "zip": {f"{name}.zip": zipped({f"{name}.csv": rows, f"__MACOSX/._{name}.csv": b"\0\5\26\7"})},
            "gz": {f"{name}.csv.gz": gzip.compress(rows)},
        }[votes],
    )
    prepared = Prepared(tmp_path / "galaxies.h5", source)
    assert prepared.names == set(NAMES)
    assert prepared.problems == []
    assert prepared.counts["galaxies"] == 4
    np.testing.assert_allclose(prepared.votes("100008"), votes_of(*ROUND), atol=1e-6)
    np.testing.assert_allclose(prepared.votes("100023"), votes_of(*THIN), atol=1e-6)
    assert prepared.galaxies.framing.size == 32
    framed = prepared.galaxies.framing.frame(decode(png(0, 64) if pictures == "PNGs" else PICTURES["100008.jpg"]))
    np.testing.assert_array_equal(prepared.galaxies.images[prepared.galaxies.names.tolist().index("100008")], framed)
    assert "4  galaxies" in prepared.result.stderr
    assert "galaxies.report.json" in prepared.result.stdout


def test_files_may_be_named_one_by_one(tmp_path: Path) -> None:
    lay(tmp_path, {"votes.csv": solutions(NAMES), "pictures.tar": tarred(PICTURES)})
    assert Prepared(tmp_path / "g.h5", tmp_path / "pictures.tar", tmp_path / "votes.csv").names == set(NAMES)


def test_rows_of_five_questions_only_are_kept_and_the_others_are_not_known(tmp_path: Path) -> None:
    assert len(KNOWN_TO_PARTIAL) == 17
    source = lay(
        tmp_path / "source",
        {"a.csv": solutions(NAMES[:2]), "b.csv": solutions(NAMES[2:], KNOWN_TO_PARTIAL), "i.tar": tarred(PICTURES)},
    )
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.problems == []
    assert not np.isnan(prepared.votes("100008")).any()
    known = ~np.isnan(prepared.votes("100053"))
    assert {name for name, is_known in zip(TREE.columns, known, strict=True) if is_known} == set(KNOWN_TO_PARTIAL)


def prepared_images(output: Path, *words: str | Path) -> NDArray[np.uint8]:
    result = training("prepare", *words, "--output", output)
    assert result.exit_code == 0, result.output
    return read_galaxies(output).images[:]


def test_a_picture_of_just_the_usual_size_has_been_cut_already_under_the_usual_framing_only(tmp_path: Path) -> None:
    usual, small = draw_galaxy(1, 144), draw_galaxy(1, 32)
    lay(tmp_path, {"v.csv": solutions(["1"]), "usual/1.png": encode(usual, "PNG"), "small/1.png": encode(small, "PNG")})
    output, votes = tmp_path / "g.h5", tmp_path / "v.csv"
    np.testing.assert_array_equal(prepared_images(output, votes, tmp_path / "usual")[0], usual)
    # Under another framing it is cut as any other picture is, be its size that of the array file or not.
    wide = prepared_images(output, votes, tmp_path / "usual", "--field=0.9")
    np.testing.assert_array_equal(wide[0], Framing(size=144, field=0.9).frame(usual))
    cut = prepared_images(output, votes, tmp_path / "small", "--size=32")
    np.testing.assert_array_equal(cut[0], Framing(size=32, field=288 / 424).frame(small))


def test_pictures_are_decoded_as_the_service_decodes_them(tmp_path: Path) -> None:
    picture = jpeg(1, 424)
    source = lay(tmp_path / "s", {"v.csv": solutions(["1"]), "i/1.jpg": picture})
    seen = prepared_images(tmp_path / "g.h5", source)[0]
    np.testing.assert_array_equal(seen, GALAXY_ZOO_FRAMING.read(EncodedImage(picture))[0])
    assert (seen != GALAXY_ZOO_FRAMING.frame(decode(picture))).any(), "at a part of its size, as far as that is enough"
    whole = prepared_images(tmp_path / "g.h5", source, "--precut")[0]
    np.testing.assert_array_equal(whole, Framing(size=144, field=1).read(EncodedImage(picture))[0])


def test_pictures_that_are_cut_already_are_scaled_whole(tmp_path: Path) -> None:
    picture = draw_galaxy(1, 144)
    source = lay(tmp_path / "s", {"v.csv": solutions(["1"]), "i/1.png": encode(picture, "PNG")})
    scaled = prepared_images(tmp_path / "g.h5", source, "--size=32", "--precut")
    np.testing.assert_array_equal(scaled[0], Framing(size=32, field=1).frame(picture))
    same = prepared_images(tmp_path / "g.h5", source, "--field=0.5", "--precut")
    np.testing.assert_array_equal(same[0], picture)
    assert read_galaxies(tmp_path / "g.h5").framing == Framing(size=144, field=0.5)


BENCHMARKS = ("all_ones_benchmark", "all_zeros_benchmark", "central_pixel_benchmark")


@pytest.mark.parametrize("packed", [False, True])
def test_kaggles_sample_submissions_are_not_taken_for_votes(tmp_path: Path, packed: bool) -> None:  # noqa: FBT001
    tests = ["100018", "100037"]
    rows = [table(["GalaxyID", *TREE.columns], [[name, *[value] * 37] for name in tests]) for value in (1, 0)]
    # The third one's rows add up.
    tables = {f"{name}.csv": data for name, data in zip(BENCHMARKS, [*rows, solutions(tests)], strict=True)}
    benchmarks = {name.replace(".csv", ".zip"): zipped({name: data}) for name, data in tables.items()}
    download = {
        "training_solutions_rev1.csv": solutions(NAMES),
        "images_training_rev1.tar": tarred(PICTURES),
        "images_test_rev1.tar": tarred({f"{name}.jpg": jpeg(1, 64) for name in tests}),
    }
    source = lay(tmp_path / "kaggle", download | (benchmarks if packed else tables))
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.names == set(NAMES)
    ending = "zip" if packed else "csv"
    assert prepared.found("sample submission, not votes") == [f"{name}.{ending}" for name in BENCHMARKS]
    assert prepared.found("picture without a row of votes") == [f"images_test_rev1.tar: {name}" for name in tests]
    assert len(prepared.problems) == 5


def test_rows_whose_votes_do_not_add_up_are_refused_under_any_name(tmp_path: Path) -> None:
    header = ["GalaxyID", *TREE.columns]
    rows = [
        ["ones", *[1] * 37],
        ["zeros", *[0] * 37],
        row("a-question", Class7_1=0.9),
        row("nobody-was-asked", Class3_1=0.1),
        row("a-hair", Class7_1=0.9995),
        # What is not known can't be wrong: neither a part of a question, nor one whose weight is not known.
        row("in-part", Class7_1="", Class7_2=0.3),
        row("no-weight", Class1_1="", Class7_1=0.5),
    ]
    names = [str(each[0]) for each in rows]
    pictures = tarred({f"{name}.jpg": jpeg(1, 64) for name in names})
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", {"v.csv": table(header, rows), "i.tar": pictures}))
    assert prepared.names == {"a-hair", "in-part", "no-weight"}
    assert prepared.found("row whose votes do not add up") == [f"v.csv, line {number}" for number in (2, 3, 4, 5)]


def test_a_second_row_that_says_otherwise_fills_nothing_in() -> None:
    # Each adds up, and so would the two put together.
    first, second = np.full(37, np.nan), np.full(37, np.nan)
    first[:3], second[:3] = (0.9, 0.1, 0.0), (0.1, 0.9, 0.0)
    second[[TREE.index["Class6.1"], TREE.index["Class6.2"]]] = (0.3, 0.7)
    votes = Votes(TREE)
    votes.add("1", first, "a")
    votes.add("1", second, "b")
    np.testing.assert_array_equal(votes.rows["1"], first.astype(np.float32))
    assert ("second row of votes that does not go with the first", "b") in votes.problems


def test_the_rows_of_one_galaxy_are_put_together(tmp_path: Path) -> None:
    part = [name for name in KNOWN_TO_PARTIAL if not name.startswith("Class7")]
    contradicting = votes_of(*THIN)
    files = {
        "a.csv": solutions(NAMES[:2], part),
        # Where both know, the first row stays.
        "b.csv": table(["GalaxyID", *TREE.columns], [row(NAMES[0], Class6_1=0.0005, Class6_2=0.9995)]),
        "c.csv": table(["GalaxyID", *TREE.columns], [["100023", *votes_of(*ROUND)], ["100023", *contradicting]]),
        "i.tar": tarred(PICTURES),
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    np.testing.assert_array_equal(prepared.votes(NAMES[0]), votes_of(*ROUND))
    # A row that contradicts the first is left out whole; one that goes with it is used.
    np.testing.assert_array_equal(prepared.votes("100023"), contradicting)
    assert prepared.found("galaxy with a second row of votes") == ["b.csv, line 2", "c.csv, line 2", "c.csv, line 3"]
    assert prepared.found("second row of votes that does not go with the first") == ["c.csv, line 2"]


def test_a_zip_file_may_hold_both_votes_and_pictures(tmp_path: Path) -> None:
    both = lay(tmp_path / "s", {"all.zip": zipped({"votes.csv": solutions(NAMES), **PICTURES})})
    prepared = Prepared(tmp_path / "g.h5", both)
    assert prepared.names == set(NAMES)
    assert prepared.problems == []


def test_files_with_other_endings_are_listed_once(tmp_path: Path) -> None:
    unread = ["b.tsv", "c.tar.gz", "d.tgz", "e.gif", "noending"]
    silent = ["README", "readme.rst", "a.txt", "a.md", "a.pdf", "a.enc", "a.h5", "a.report.json", ".hidden", "._v.csv"]
    sound = {"votes.csv": solutions(NAMES), "pictures.tar": tarred(PICTURES)}
    source = lay(tmp_path / "s", sound | dict.fromkeys([*unread, *silent], b"?"))
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.found("file that is not read") == unread
    assert len(prepared.problems) == len(unread)
    named = Prepared(tmp_path / "g.h5", source / "votes.csv", source / "pictures.tar", source / "c.tar.gz")
    assert named.problems == [["file that is not read", "c.tar.gz"]]


def test_a_folder_that_cannot_be_listed_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterable[Path]:
        if folder.name in {"lost+found", "locked"}:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    # The tests may run as root, whom no permission stops.
    monkeypatch.setattr(Path, "iterdir", iterdir)
    source = lay(tmp_path / "s", {"votes.csv": solutions(NAMES), "lost+found/x": b"", **PICTURES})
    (tmp_path / "locked").mkdir()
    prepared = Prepared(tmp_path / "g.h5", source, tmp_path / "locked")
    assert prepared.names == set(NAMES)
    assert [place.partition(":")[0] for place in prepared.found("file that cannot be read")] == ["lost+found", "locked"]


def test_pictures_with_too_many_pixels_are_listed_and_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"v.csv": solutions(["1", "2"]), "i/1.png": png(1, 40), "i/2.png": png(1, 41)}
    source = lay(tmp_path / "s", files)
    decode_image = EncodedImage.decode

    def decoding(image: EncodedImage, reduction: int = 1) -> NDArray[np.uint8]:
        assert image.header.width == 40
        return decode_image(image, reduction)

    monkeypatch.setattr(EncodedImage, "decode", decoding)
    prepared = Prepared(tmp_path / "g.h5", source, "--max-pixels=1600")
    assert prepared.names == {"1"}
    assert prepared.found("picture with too many pixels") == ["2: 41 x 41 = 1681 pixels"]


@pytest.mark.parametrize("error", [MemoryError(), lzma.LZMAError("Corrupt input data")])
def test_what_else_damaged_files_raise_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    read = zipfile.ZipFile.read

    def reading(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
        if entry.filename == "100023.jpg":
            raise error
        return read(archive, entry)

    monkeypatch.setattr(zipfile.ZipFile, "read", reading)
    source = lay(tmp_path / "s", {"votes.csv": solutions(NAMES), "i.zip": zipped(PICTURES)})
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.names == set(NAMES) - {"100023"}
    assert prepared.found("picture that cannot be decoded") == [f"100023: {str(error) or 'MemoryError'}"]


IDS = table(["GalaxyID"], [[name] for name in NAMES[:2]])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("validation_ids.csv", table(["GalaxyID", "note"], [["1", ""]]), "its header is not the one column GalaxyID"),
        ("validation_ids.csv", table(["id"], [["1"]]), "its header is not the one column GalaxyID"),
        ("validation_ids.csv", b"", "its header is not the one column GalaxyID"),
        ("Validation.csv", solutions(NAMES), "its header is not the one column GalaxyID"),
        ("validation_ids.csv", "GalaxyID\n1\n".encode("utf-16"), "its header is not the one column GalaxyID"),
        ("validation_ids.csv.gz", b"no gzip", "Not a gzipped file"),
        ("validation_ids.zip", b"PK no zip", "not a zip file"),
        ("validation_ids.tsv", IDS, "files with its ending are not read"),
        ("validation_ids.txt", IDS, "files with its ending are not read"),
        # Tables of ids by their header, whatever their name.
        ("ids.csv", IDS + b"\xff\xff\n", "codec can't decode"),
        ("ids.csv", IDS + b"100053,100078\n", "line 4 holds more than a GalaxyID"),
        ("ids.csv", b"GalaxyID\n", "it names no galaxy"),
        ("ids.csv.gz", gzip.compress(IDS, mtime=0)[:-8], "ended before the end-of-stream marker"),
    ],
)
def test_a_damaged_table_of_ids_is_not_replaced_by_another_split(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    files = {"votes.csv": solutions(NAMES), "i.tar": tarred(PICTURES), name: content, "zz.csv": b"a,b\n1,2\n"}
    output = tmp_path / "g.h5"
    result = training("prepare", lay(tmp_path / "s", files), "--output", output, "--size=32")
    assert result.exit_code == 2
    assert name in result.stderr
    assert complaint in " ".join(result.stderr.split())
    assert not output.exists()
    assert output.with_suffix(".report.json").exists()


def test_a_table_with_more_than_ids_is_no_split(tmp_path: Path) -> None:
    more = table(["GalaxyID", "note"], [[name, ""] for name in NAMES])
    files = {"v.csv": solutions(NAMES), "more.csv": more, "ids.csv": IDS, "i.tar": tarred(PICTURES)}
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert set(prepared.galaxies.names[prepared.galaxies.validation].tolist()) == set(NAMES[:2])
    assert prepared.found("table that is not known by its header") == ["more.csv"]


@pytest.mark.parametrize("words", [(), ("--tree=candels",)])
def test_the_file_says_where_the_votes_come_from(tmp_path: Path, words: tuple[str, ...]) -> None:
    tree = load_tree("candels") if words else TREE
    votes = table(["GalaxyID", *tree.columns], [["1", *[0.5] * 5]]) if words else solutions(["1"])
    source = lay(tmp_path / "s", {"v.csv": votes, "i/1.jpg": jpeg(1, 64)})
    provenance = Prepared(tmp_path / "g.h5", source, *words).galaxies.provenance
    assert provenance["votes"] == ("tables of the tree candels" if words else "Kaggle Galaxy Challenge solutions")
    assert ("Kaggle" in provenance["images"]) is not bool(words)
    assert provenance["sources"] == ["i"]
    assert provenance["counts"]["galaxies"] == 1


def test_the_named_galaxies_are_set_aside_and_unknown_ones_listed(tmp_path: Path) -> None:
    source = lay(
        tmp_path / "source",
        {
            "votes.csv": solutions(NAMES),
            "i.tar": tarred(PICTURES),
            "validation_ids.csv": table(["GalaxyID"], [["100023"], ["100078"], ["999999"]]),
        },
    )
    prepared = Prepared(tmp_path / "g.h5", source)
    aside = prepared.galaxies.names[prepared.galaxies.validation]
    assert set(aside.tolist()) == {"100023", "100078"}
    assert prepared.counts["galaxies set aside for validation"] == 2
    assert prepared.found("validation id without votes or without a picture") == ["999999"]


def test_without_named_galaxies_the_split_follows_from_the_names(tmp_path: Path) -> None:
    names = [str(number) for number in range(60)]
    one = png(1, 32)

    def aside(chosen: list[str]) -> set[str]:
        folder = tmp_path / str(len(chosen))
        lay(folder, {"v.csv": solutions(chosen), "i.tar": tarred({f"{name}.png": one for name in chosen})})
        output = folder / "g.h5"
        result = training("prepare", folder, "--output", output, "--size=32", "--validation-part=0.3")
        assert result.exit_code == 0
        galaxies = read_galaxies(output)
        return set(galaxies.names[galaxies.validation].tolist())

    of_all = aside(names)
    assert 5 <= len(of_all) <= 35
    assert aside(names[:30]) == of_all & set(names[:30])


# What is known in part, and what is set aside.


def classes(rows: dict[str, tuple[str, str]]) -> bytes:
    """Return a table of clean and coarse classes."""
    return table(["GalaxyID", "clean_sample_class", "coarse_class"], [[name, *both] for name, both in rows.items()])


def bound(prepared: Prepared, name: str, column: str) -> tuple[float, float]:
    """Return between what a vote on a galaxy lies."""
    row, position = prepared.galaxies.names.tolist().index(name), TREE.index[column]
    return float(prepared.galaxies.lower[row, position]), float(prepared.galaxies.upper[row, position])


def test_galaxies_of_which_only_the_class_is_known_are_kept_with_its_bounds(tmp_path: Path) -> None:
    files = {
        "v.csv": solutions(NAMES[:1]),
        "weak.csv": classes({NAMES[0]: ("Class2", "4"), NAMES[1]: ("Class3", "1"), "no-picture": ("", "4")}),
        "i.tar": tarred(PICTURES),
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert prepared.names == set(NAMES[:2])
    assert prepared.found("row without a picture") == ["no-picture"]
    assert len(prepared.found("picture without a row of votes")) == 2
    assert np.isnan(prepared.votes(NAMES[1])).all()
    assert bound(prepared, NAMES[1], "Class2.1") == pytest.approx((0.602, 1))
    # What follows by the sums of the tree is stored.
    assert bound(prepared, NAMES[1], "Class7.1") == pytest.approx((0, 0.398))
    known = prepared.galaxies.where(prepared.galaxies.names == NAMES[0])
    np.testing.assert_array_equal(known.lower, known.votes)
    np.testing.assert_array_equal(known.upper, known.votes)
    assert prepared.counts["galaxies with all votes"] == 1
    assert prepared.counts["galaxies with bounds only"] == 1
    assert prepared.galaxies.provenance["votes"] == "Kaggle Galaxy Challenge solutions and classes of further galaxies"
    assert prepared.galaxies.provenance["images"].count("Kaggle") == 1


def test_a_class_tells_of_votes_that_a_table_leaves_out(tmp_path: Path) -> None:
    files = {
        "v.csv": table(["GalaxyID", "Class1.1", "Class1.2", "Class1.3"], [["1", 0.1, 0.9, 0]]),
        "weak.csv": classes({"1": ("Class4", "")}),
        "i/1.jpg": jpeg(1, 64),
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert prepared.problems == []
    assert bound(prepared, "1", "Class1.2") == pytest.approx((0.9, 0.9))
    assert bound(prepared, "1", "Class4.1") == pytest.approx((0.619, 0.9))
    assert bound(prepared, "1", "Class2.1") == pytest.approx((0, 0.185))
    assert prepared.counts["galaxies with some votes"] == 1


def test_where_class_and_votes_are_at_odds_the_votes_win(tmp_path: Path) -> None:
    files = {
        # Beyond a class by a vote, by what a vote leaves to others, and by less than tables round.
        "v.csv": table(
            ["GalaxyID", *TREE.columns[:3]], [["1", 0.9, 0.1, 0], ["2", 0.7, 0.3, 0], ["3", 0.3985, 0.6015, 0]]
        ),
        "weak.csv": classes({"1": ("", "1"), "2": ("Class3", ""), "3": ("Class3", "1")}),
        **{f"i/{name}.jpg": jpeg(1, 64) for name in "123"},
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert prepared.found("class that contradicts the votes") == ["1", "2"]
    assert bound(prepared, "1", "Class7.1") == pytest.approx((0, 0.9))
    assert bound(prepared, "2", "Class2.1") == pytest.approx((0, 0.3))
    assert bound(prepared, "3", "Class2.1") == pytest.approx((0.6015, 0.6015), abs=1e-3)


def test_votes_that_leave_others_no_room_are_kept_and_listed(tmp_path: Path) -> None:
    # All who called it smooth are missing, and no other vote accounts for them.
    rows = [row("1", Class1_1="", Class7_1=0.5)]
    files = {"v.csv": table(["GalaxyID", *TREE.columns], rows), "i/1.jpg": jpeg(1, 64)}
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert prepared.found("votes that leave no room for those that are not known") == ["1"]
    assert bound(prepared, "1", "Class1.1") == (0, 1)
    assert bound(prepared, "1", "Class7.1") == (0.5, 0.5)


def test_classes_that_can_not_be_used_are_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = [
        ["1", "Class9", "4"],
        ["2", "Class3", "7"],
        # An edge-on galaxy that most call smooth.
        ["3", "Class3", "0"],
        ["4", "", "1"],
        ["4", "", "2"],
        ["5"],
    ]
    files = {
        "v.csv": solutions(["votes"]),
        "weak.csv": table(["GalaxyID", "clean_sample_class", "coarse_class"], rows),
        **{f"i/{name}.jpg": jpeg(1, 64) for name in ("votes", "1", "2", "3", "4", "5")},
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files))
    assert prepared.names == {"votes", "1", "2", "4", "5"}
    assert prepared.found("class that is not known") == ["weak.csv, line 2: Class9", "weak.csv, line 3: 7"]
    (place,) = prepared.found("classes that contradict each other")
    assert place.startswith("weak.csv, line 4: ")
    assert prepared.found("galaxy with a second row of classes") == ["weak.csv, line 6"]
    # A class that is not known is not an empty one, which would tell that the galaxy is not round.
    assert bound(prepared, "1", "Class6.2") == (0.5, 1)
    assert bound(prepared, "1", "Class7.1") == (0, 1)
    assert bound(prepared, "2", "Class2.1") == pytest.approx((0.602, 1))
    assert bound(prepared, "4", "Class1.2") == (0.5, 1)
    assert bound(prepared, "5", "Class7.1") == (0, 0.5)


def test_pictures_of_which_nothing_is_known_are_kept_unless_they_are_not_wanted(tmp_path: Path) -> None:
    files = {"v.csv": solutions(NAMES[:1]), "i.tar": tarred(PICTURES), "more/100023.jpg": jpeg(9, 64)}
    source = lay(tmp_path / "s", files)
    prepared = Prepared(tmp_path / "g.h5", source, "--unlabelled")
    assert prepared.names == set(NAMES)
    assert prepared.found("second picture of a galaxy") == ["more: 100023"]
    assert np.isnan(prepared.votes(NAMES[1])).all()
    assert bound(prepared, NAMES[1], "Class1.1") == (0, 1)
    assert prepared.counts["galaxies of which nothing is known"] == 3
    assert training("prepare", source, "--output", tmp_path / "d.h5", "--size=32").exit_code == 0
    assert set(read_galaxies(tmp_path / "d.h5").names.tolist()) == set(NAMES)
    assert Prepared(tmp_path / "g.h5", source).names == {NAMES[0]}


def test_without_any_votes_there_is_nothing_to_prepare(tmp_path: Path) -> None:
    source = lay(tmp_path / "s", {"weak.csv": classes({NAMES[0]: ("", "4")}), "i.tar": tarred(PICTURES)})
    for corrupt in (False, True):
        if corrupt:
            lay(source, {"v.csv": solutions(["votes"]), "i/votes.jpg": b"corrupt"})
        result = training("prepare", source, "--output", tmp_path / "g.h5")
        assert result.exit_code == 2
        assert "no galaxy has both votes and a picture" in " ".join(result.stderr.split())
        assert not (tmp_path / "g.h5").exists()


def test_galaxies_named_for_validation_are_never_learnt_from_even_without_votes(tmp_path: Path) -> None:
    files = {
        "v.csv": solutions(NAMES[:1]),
        "weak.csv": classes({NAMES[1]: ("", "4")}),
        "ids.csv": table(["GalaxyID"], [[name] for name in NAMES[:3]]),
        "i.tar": tarred(PICTURES),
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files), "--unlabelled")
    assert prepared.names == {NAMES[0], NAMES[3]}
    assert prepared.found("validation id without votes or without a picture") == NAMES[1:3]
    assert prepared.galaxies.names[prepared.galaxies.learning].tolist() == [NAMES[3]]


def test_a_part_of_the_galaxies_with_all_votes_is_set_aside_for_calibration(tmp_path: Path) -> None:
    whole, part, bare = ([f"{kind}{number}" for number in range(40)] for kind in ("whole", "part", "bare"))
    files = {
        "a.csv": solutions(whole),
        "b.csv": solutions(part, KNOWN_TO_PARTIAL),
        "i.tar": tarred({f"{name}.png": png(1, 32) for name in (*whole, *part, *bare)}),
    }
    source = lay(tmp_path / "s", files)
    words = ("--unlabelled", "--validation-part=0.3", "--calibration-part=0.4")
    prepared = Prepared(tmp_path / "g.h5", source, *words)
    galaxies = prepared.galaxies
    aside = set(galaxies.names[galaxies.calibration].tolist())
    assert 3 <= len(aside) <= 25
    assert aside < set(whole)
    assert not (galaxies.calibration & galaxies.validation).any()
    assert not set(galaxies.names[galaxies.validation].tolist()) & set(bare)
    np.testing.assert_array_equal(galaxies.learning, ~galaxies.calibration & ~galaxies.validation)
    assert prepared.counts["galaxies set aside for calibration"] == len(aside)
    # Who is set aside follows from the names and not from the other split, but those for validation stay with it.
    more = Prepared(tmp_path / "m.h5", source, *words, "--validation-part=0").galaxies
    assert set(more.names[more.calibration].tolist()) - set(galaxies.names[galaxies.validation].tolist()) == aside
    assert not Prepared(tmp_path / "n.h5", source, "--calibration-part=0").galaxies.calibration.any()


def test_classes_tell_of_one_tree_only(tmp_path: Path) -> None:
    tree = load_tree("candels")
    files = {
        "v.csv": table(["GalaxyID", *tree.columns], [["1", *[0.5] * 5]]),
        "weak.csv": classes({"1": ("", "4"), "2": ("", "4")}),
        "i/1.jpg": jpeg(1, 64),
        "i/2.jpg": jpeg(1, 64),
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files), "--tree=candels")
    assert prepared.names == {"1"}
    assert prepared.found("table of classes of another tree") == ["weak.csv"]


def test_a_table_of_a_populations_means_is_passed_over(tmp_path: Path) -> None:
    means = b"column,population_mean,population_std,sample_mean\nClass1.1,0.4,0.3,0.5\n"
    source = lay(tmp_path / "s", {"v.csv": solutions(NAMES), "i.tar": tarred(PICTURES), "population.csv": means})
    assert Prepared(tmp_path / "g.h5", source).problems == []


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real galaxies are not at {REAL}")
def test_no_class_of_the_real_galaxies_contradicts_their_votes(tmp_path: Path) -> None:
    tables = [REAL / name for name in ("training_solutions_rev1.csv", "partial_solutions_18.csv", "weak_classes.csv")]
    with tables[0].open(encoding="utf-8") as rows, tables[1].open(encoding="utf-8") as more:
        names = [line.partition(",")[0] for file in (rows, more) for line in list(file)[1:]]
    lay(tmp_path, {"i.tar": tarred({f"{name}.png": png(1, 32) for name in names})})
    prepared = Prepared(tmp_path / "g.h5", *tables, tmp_path / "i.tar")
    assert prepared.counts["galaxies with all votes"] == 7871
    assert prepared.counts["galaxies with some votes"] == 4000
    assert not prepared.found("class that contradicts the votes")
    assert not prepared.found("votes that leave no room for those that are not known")


# What is wrong with them.


def row(name: str, **changes: object) -> list[object]:
    """Return a sound row of votes with some values replaced, by column (``Class1_1``)."""
    votes: list[object] = [str(value) for value in votes_of(*ROUND)]
    for column, value in changes.items():
        votes[TREE.index[column.replace("_", ".")]] = value
    return [name, *votes]


def test_all_that_is_wrong_is_listed_and_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    rows = [
        row("sound"),
        row("no-picture"),
        row("cut-off"),
        row("no-image"),
        row("gif"),
        row("too-large", Class1_1=1.2),
        row("negative", Class1_1=-0.5),
        row("no-numbers", **{name.replace(".", "_"): "?" for name in TREE.columns}),
        row("one-missing", Class1_3="", Class7_1="n/a", Class7_2="inf"),
        row("a-hair-too-large", Class1_1=1.0000004),
        row("twice"),
        row("twice", Class1_1=0.5),
        ["short", "1.0"],
        [""],
    ]
    whole = jpeg(1, 64)
    source = lay(
        tmp_path / "source",
        {
            "votes.csv": table(["GalaxyID", *TREE.columns], rows),
            "images/sound.jpg": whole,
            "images/cut-off.jpg": whole[:-50],
            "images/no-image.jpg": b"<html>not found</html>",
            "images/gif.jpg": encode(draw_galaxy(0, 40), "GIF"),
            "images/too-large.jpg": whole,
            "images/negative.jpg": whole,
            "images/no-numbers.jpg": whole,
            "images/one-missing.jpg": whole,
            "images/a-hair-too-large.jpg": whole,
            "images/twice.jpg": whole,
            "images/short.jpg": whole,
            "images/no-row.jpg": whole,
            "more/sound.jpg": jpeg(2, 64),
        },
    )
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.names == {"sound", "one-missing", "a-hair-too-large", "twice", "short"}
    assert prepared.counts["galaxies"] == 5
    undecodable = prepared.found("picture that cannot be decoded")
    assert [place.partition(":")[0] for place in undecodable] == ["cut-off", "gif", "no-image"]
    assert "damaged or cut off" in undecodable[0]
    assert prepared.found("row without a picture") == ["no-picture"]
    assert set(prepared.found("picture without a row of votes")) == {
        f"images: {name}" for name in ("too-large", "negative", "no-numbers", "no-row")
    }
    assert prepared.found("second picture of a galaxy") == ["more: sound"]
    assert len(prepared.found("row with votes that are not between 0 and 1")) == 2
    assert prepared.found("galaxy with a second row of votes") == ["votes.csv, line 13"]
    assert len(prepared.found("row without any votes")) == 2
    assert "votes.csv, line 10" in prepared.found("row with values that are missing or no numbers, kept without them")
    missing = np.isnan(prepared.votes("one-missing"))
    assert {name for name in TREE.columns if missing[TREE.index[name]]} == {"Class1.3", "Class7.1", "Class7.2"}
    assert prepared.votes("a-hair-too-large").max() == 1
    assert prepared.votes("twice")[0] == 1
    assert np.isnan(prepared.votes("short")).sum() == 36


def test_files_that_cannot_be_read_are_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    sound = {"votes.csv": solutions(NAMES), "pictures.tar": tarred(PICTURES)}
    compressed = gzip.compress(solutions(["9"] * 300))
    several = zipped({"a.csv": solutions(["1"]), "b.csv": solutions(["2"])})
    broken = {
        "strange.csv": b"GalaxyID,Class1.1,Class99.9\n1,1,1\n",
        "cut-off.csv.gz": compressed[: len(compressed) // 2],
        "flipped.csv.gz": compressed[:20] + bytes(20) + compressed[40:],
        "no-gzip.gz": b"text",
        "latin.csv": "GalaxyID,Class1.1\nsø,1\n".encode("latin-1"),
        "no-zip.zip": b"PK no zip",
        "several.zip": several,
        "no-tar.tar": b"no tar" * 200,
        "cut-off.tar": tarred({"7.jpg": bytes(5000)})[:2000],
        "wide.csv": b"GalaxyID,Class1.1\n" + b"9" * 200_000 + b",1\n",
        "gz2_hart16.csv": b"dr7objid,t01_smooth_or_features_a01_smooth_debiased\n1,1\n",
    }
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "source", sound | broken))
    assert prepared.names == set(NAMES)
    failures = dict(place.split(": ", 1) for place in prepared.found("file that cannot be read"))
    assert set(failures) >= set(broken)
    assert "has no column Class99.9" in failures["strange.csv"]
    assert "holds 2 CSV files, not one" in failures["several.zip"]
    assert "needs one gz2_filename_mapping.csv beside it; 0 were given" in failures["gz2_hart16.csv"]


def test_pictures_that_are_damaged_in_their_archive_are_listed(tmp_path: Path) -> None:
    archive = bytearray(zipped(PICTURES))
    place = archive.index(b"100023.jpg")
    archive[place + 300 : place + 400] = bytes(100)
    source = lay(tmp_path / "source", {"votes.csv": solutions(NAMES), "pictures.zip": bytes(archive)})
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.names == set(NAMES) - {"100023"}
    assert [place[:7] for place in prepared.found("picture that cannot be decoded")] == ["100023:"]


def test_an_archive_without_pictures_is_listed(tmp_path: Path) -> None:
    nested = zipped({"images_training_rev1.zip": zipped(PICTURES)})
    source = lay(tmp_path / "s", {"votes.csv": solutions(NAMES), "i.tar": tarred(PICTURES), "whole.zip": nested})
    assert Prepared(tmp_path / "g.h5", source).found("archive without a picture") == ["whole.zip"]


def test_tables_that_are_not_known_are_listed(tmp_path: Path) -> None:
    source = lay(
        tmp_path / "source",
        {"votes.csv": solutions(NAMES), "i.tar": tarred(PICTURES), "means.csv": b"column,mean\nClass1.1,0.4\n"},
    )
    prepared = Prepared(tmp_path / "g.h5", source)
    assert prepared.found("table that is not known by its header") == ["means.csv"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"votes.csv": solutions(NAMES)},
        {"pictures.tar": tarred(PICTURES)},
        {"votes.csv": solutions(NAMES), "i/1.jpg": jpeg(0, 64)},
        {"votes.csv": solutions(NAMES), f"i/{NAMES[0]}.jpg": b"corrupt"},
    ],
)
def test_nothing_to_prepare_is_a_sentence_and_leaves_a_report_only(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "source").mkdir()
    output = tmp_path / "out" / "g.h5"
    result = training("prepare", lay(tmp_path / "source", files), "--output", output)
    assert result.exit_code == 2
    assert "no galaxy has both votes and a picture" in " ".join(result.stderr.split())
    assert [path.name for path in output.parent.iterdir()] == ["g.report.json"]


def test_when_nothing_can_be_prepared_the_reasons_are_told(tmp_path: Path) -> None:
    rows = table(["GalaxyID", *TREE.columns], [[str(name), *[1] * 37] for name in range(40)])
    source = lay(tmp_path / "s", {"v.csv": rows, "i/7.jpg": jpeg(0, 64)})
    result = training("prepare", source, "--output", tmp_path / "g.h5", "--no-unlabelled")
    assert "no galaxy has both votes and a picture (0 rows of votes were read)" in result.stderr
    assert "40 x row whose votes do not add up" in result.stderr
    assert "1 x picture without a row of votes" in result.stderr
    assert result.stderr.count("row whose votes do not add up: v.csv, line ") == 5
    assert f"listed in {tmp_path / 'g.report.json'}" in result.stderr
    report = json.loads((tmp_path / "g.report.json").read_text("utf-8"))
    assert len(report["problems"]) == 41


def test_an_unknown_tree_is_a_sentence(tmp_path: Path) -> None:
    result = training("prepare", lay(tmp_path, {"votes.csv": solutions(NAMES)}), "--tree=galaxy-zoo-9")
    assert result.exit_code == 2
    assert "known are candels, galaxy-zoo-2" in " ".join(result.stderr.split())


def test_another_tree_has_other_columns(tmp_path: Path) -> None:
    rows = table(["GalaxyID", *load_tree("candels").columns], [["1", 0.5, 0.9, 0.1, 0, 0]])
    source = lay(tmp_path / "s", {"v.csv": rows, "i/1.png": png(1, 40)})
    result = training("prepare", source, "--tree=candels", "--output", tmp_path / "g.h5", "--size=32")
    assert result.exit_code == 0, result.output
    galaxies = read_galaxies(tmp_path / "g.h5")
    assert galaxies.tree.name == "candels"
    np.testing.assert_allclose(galaxies.votes, [[0.5, 0.9, 0.1, 0, 0]])


# Galaxy Zoo 2's public release.


ANSWERS = {answer.release: answer.id for question in TREE.questions for answer in question.answers}


def release(rows: dict[str, dict[str, float]], kind: str = "debiased") -> bytes:
    """Return rows as in gz2_hart16.csv: object -> answer -> fraction among those who were asked, else 0."""
    header = ["dr7objid", "ra", *(f"{name}_{kind}" for name in ANSWERS)]
    return table(
        header,
        [[name, 180.0, *(given.get(answer, 0.0) for answer in ANSWERS.values())] for name, given in rows.items()],
    )


RELEASED = {
    "587722981736120347": {
        "Class1.1": 0.25, "Class1.2": 0.75, "Class2.1": 0.2, "Class2.2": 0.8, "Class3.1": 0.5, "Class3.2": 0.5,
        "Class4.1": 1.0, "Class5.2": 1.0, "Class6.2": 1.0, "Class7.1": 0.5, "Class7.2": 0.5, "Class9.1": 1.0,
        # Debiased fractions need not add up to 1.
        "Class10.1": 0.3, "Class10.2": 0.3, "Class11.2": 1.0,
    },
    "587722981736579107": {"Class1.1": 1.0, "Class7.1": 1.0, "Class6.2": 1.0},
    "587722981741363294": {"Class1.1": 1.0, "Class6.2": 1.0},
    "587722981741363323": {"Class1.1": 1.0},
}  # fmt: skip
MAPPING = table(
    ["objid", "sample", "asset_id"],
    [[name, "original", 16 + number] for number, name in enumerate(list(RELEASED)[:3])],
)


@pytest.mark.parametrize("form", ["csv", "gz"])
@pytest.mark.parametrize("kind", ["debiased", "weighted_fraction", "fraction"])
def test_the_public_release_is_multiplied_down_the_tree(tmp_path: Path, form: str, kind: str) -> None:
    rows = release(RELEASED, kind)
    votes = {"gz2_hart16.csv": rows} if form == "csv" else {"gz2_hart16.csv.gz": gzip.compress(rows)}
    images = {f"images_gz2/{number}.jpg": jpeg(number, 64) for number in (16, 17, 18, 19)}
    source = lay(tmp_path / "source", {"gz2_filename_mapping.csv": MAPPING, **votes, **images})
    prepared = Prepared(tmp_path / "g.h5", source, f"--fractions={kind}")
    assert prepared.names == {"16", "17", "18"}
    assert len(prepared.found("row whose object is not in the mapping")) == 1
    assert prepared.found("picture without a row of votes") == ["images_gz2: 19"]

    spiral = dict(zip(TREE.columns, prepared.votes("16").tolist(), strict=True))
    expected = {
        "Class1.1": 0.25, "Class1.2": 0.75, "Class2.1": 0.15, "Class2.2": 0.6, "Class3.1": 0.3, "Class4.1": 0.6,
        "Class5.2": 0.6, "Class7.2": 0.125, "Class9.1": 0.15, "Class10.1": 0.3, "Class10.3": 0.0, "Class11.2": 0.6,
        "Class6.2": 1.0, "Class8.1": 0.0,
    }  # fmt: skip
    for name, value in expected.items():
        assert spiral[name] == pytest.approx(value, abs=1e-6), name
    TREE.check(prepared.votes("16"), tolerance=1e-6)
    # Nobody is asked a question whose weight is 0, so that its scores are known.
    np.testing.assert_allclose(prepared.votes("17"), votes_of(*ROUND), atol=1e-7)
    # Somebody should have been asked how round it is, but nobody was left.
    unknown = np.isnan(prepared.votes("18"))
    assert {name for name in TREE.columns if unknown[TREE.index[name]]} == {"Class7.1", "Class7.2", "Class7.3"}


@pytest.mark.parametrize(
    ("kind", "text"), [("debiased", "debiased"), ("weighted_fraction", "weighted"), ("fraction", "raw")]
)
def test_the_file_says_that_its_votes_are_the_releases(tmp_path: Path, kind: str, text: str) -> None:
    files = {"m.csv": MAPPING, "r.csv": release(RELEASED, kind), "i/16.jpg": jpeg(1, 64)}
    source = lay(tmp_path / "s", files)
    alone = Prepared(tmp_path / "g.h5", source, f"--fractions={kind}").galaxies.provenance
    assert alone["votes"] == f"Galaxy Zoo 2 release ({text} fractions)"
    # A table that was read but gave nothing is not named; one that gave something is.
    lay(source, {"v.csv": solutions(["100008"])})
    assert Prepared(tmp_path / "g.h5", source, f"--fractions={kind}").galaxies.provenance["votes"] == alone["votes"]
    lay(source, {"i/100008.jpg": jpeg(1, 64)})
    both = Prepared(tmp_path / "g.h5", source, f"--fractions={kind}").galaxies.provenance
    assert both["votes"] == f"Kaggle Galaxy Challenge solutions and {alone['votes']}"


def test_a_number_of_kaggles_and_of_the_releases_is_no_galaxy(tmp_path: Path) -> None:
    files = {"m.csv": MAPPING, "r.csv": release(RELEASED), "v.csv": solutions(["16", "100008"])}
    pictures = {f"i/{name}.jpg": jpeg(1, 64) for name in ("16", "17", "100008")}
    # Classes have Kaggle's numbers.
    files["weak.csv"] = classes({"17": ("", "4"), "18": ("", "4")})
    pictures["i/18.jpg"] = jpeg(1, 64)
    prepared = Prepared(tmp_path / "g.h5", lay(tmp_path / "s", files | pictures), "--unlabelled")
    assert prepared.names == {"100008"}
    assert prepared.found("number of one galaxy of Kaggle's and another of the release") == ["16", "17", "18"]


def test_a_release_goes_with_the_mapping_beside_it(tmp_path: Path) -> None:
    files = {
        "one/gz2_filename_mapping.csv": MAPPING,
        "one/gz2_hart16.csv": release(RELEASED),
        "one/16.jpg": jpeg(1, 64),
        "two/gz2_filename_mapping.csv": table(["objid", "sample", "asset_id"], []),
    }
    lay(tmp_path, files)
    assert Prepared(tmp_path / "g.h5", tmp_path / "one", tmp_path / "two").names == {"16"}


def test_a_release_without_a_column_is_listed(tmp_path: Path) -> None:
    files = {"gz2_filename_mapping.csv": MAPPING, "gz2_hart16.csv": release(RELEASED, "fraction")}
    source = lay(tmp_path / "s", {**files, "v.csv": solutions(["1"]), "i/1.jpg": jpeg(1, 64)})
    (failure,) = Prepared(tmp_path / "g.h5", source).found("file that cannot be read")
    assert "gz2_hart16.csv: has no column t01_smooth_or_features_a01_smooth_debiased" in failure


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real galaxies are not at {REAL}")
def test_a_sample_of_the_real_release_is_read_whole(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path / "g.h5", REAL / "gz2-hart16-sample")
    assert prepared.counts["galaxies"] == 400
    assert prepared.problems == []
    votes = prepared.galaxies.votes
    excess = TREE.violations(votes)
    assert np.nanmax(np.abs(excess)) <= 1e-5
    # Q1 and Q6 are asked for every galaxy.
    assert np.isfinite(excess[:, [0, 5]]).all()
    assert np.isfinite(votes).mean() > 0.95
    assert len({image.tobytes() for image in prepared.galaxies.images}) == 400


# Small parts.


def test_a_folder_lists_its_pictures_by_name_only(tmp_path: Path) -> None:
    lay(tmp_path, {"b.JPG": b"2", "a.jpeg": b"1", "c.txt": b"", "sub/d.jpg": b"", ".e.jpg": b""})
    assert [(picture.name, picture.read()) for picture in pictures_in(tmp_path)] == [("a", b"1"), ("b", b"2")]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("GalaxyID,Class1.1", "solutions"),
        ("\ufeffGalaxyID,Class1.1", "solutions"),
        ("GalaxyID", "ids"),
        ("GalaxyID,GalaxyID", "unknown"),
        ("GalaxyID,disk", "unknown"),
        ("GalaxyID,clean_sample_class,coarse_class", "classes"),
        ("GalaxyID,coarse_class", "unknown"),
        ("column,population_mean,population_std,sample_mean", "means"),
        ("Class1.1,Class1.2", "unknown"),
        ("objid,sample,asset_id", "mapping"),
        ("dr7objid,ra,dec", "release"),
        ("", "unknown"),
    ],
)
def test_tables_are_told_by_their_header(tmp_path: Path, header: str, kind: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(header + "\n", "utf-8")
    assert kind_of(path, TREE) == kind
