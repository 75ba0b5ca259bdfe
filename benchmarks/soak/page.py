"""What was measured of a soak: one file of JSON, a page, and a plot."""

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure
from pydantic import Field

from benchmarks.faults.accounts import Accounts, in_words
from benchmarks.runs import MARKS, Run, table
from benchmarks.soak.holding import Sample, last_half, slope
from benchmarks.soak.mixing import PART_BAD

SOAK = "soak"
MINUTES = 10.0
PART_OF_LIMIT = 0.7
MOST_MIB = 1.0
"""A minute, over the last half."""

FLAT = 1.0
"""So many files or threads a minute are taken to be none."""


class SoakResults(Run):
    """Everything that a run measured."""

    images: str = ""
    precision: str = "fp32"
    minutes: float = MINUTES
    limit: float = 0.0
    accounts: Accounts = Field(default_factory=Accounts)
    beside: Accounts = Field(default_factory=Accounts)
    happened: dict[str, str | int] = Field(default_factory=dict)
    missed: list[str] = Field(default_factory=list)
    samples: list[Sample] = Field(default_factory=list)


def publish(results: SoakResults, folder: Path) -> Path:
    """Write figures, page and plot; return where the page is."""
    place = folder / SOAK
    picture = f"{results.machine.name}.png"
    page = results.write(place, [*_page(results, picture)])
    if results.samples:
        _draw(results, place / picture)
    return page


def _page(results: SoakResults, picture: str) -> Iterator[str]:
    yield f"# Soak: {results.machine.name}"
    yield ""
    yield from results.about()
    yield f"- **Images**: {results.images}."
    happened = ", ".join(f"{number:,} {what}" for what, number in results.happened.items())
    yield f"- **Beside the load**: {happened or 'nothing'}. Workers and models are replaced in the first third alone."
    yield ""
    yield from rows(results)
    if results.samples:
        yield ""
        yield f"![What the service holds]({picture})"


def rows(results: SoakResults) -> Iterator[str]:
    """Return the table."""
    yield from table(("asked", "reached", ""), _rows(results))


def _rows(results: SoakResults) -> Iterator[tuple[str, str, str]]:
    later = last_half(results.samples)
    grows = slope(later, lambda each: each.mib)
    own = slope(later, lambda each: each.service_mib)
    files, threads = slope(later, lambda each: each.files), slope(later, lambda each: each.threads)
    accounts = results.accounts
    rate = accounts.answered / (60 * results.minutes)
    yield (
        (
            f"{results.minutes:g} min at {PART_OF_LIMIT:.0%} of the limit ({results.limit:.0f} images/s, measured "
            "just before)"
        ),
        (
            f"{rate:.0f} requests/s answered, one in {1 / PART_BAD:.0f} of them with no whole image; {accounts.times}; "
            f"refused {in_words(accounts.refused)}; never taken {in_words(accounts.away)}"
        ),
        "",
    )
    lost = accounts.lost_in_all + results.beside.lost_in_all
    wrong = "".join(f"; {each}" for each in results.missed)
    yield (
        "none lost of those accepted",
        (
            f"{accounts.accepted + results.beside.accepted:,} accepted; lost {in_words(accounts.lost)}, and of batches "
            f"{in_words(results.beside.lost)}{wrong}"
        ),
        MARKS[not lost and accounts.answered > 0 and not results.missed],
    )
    if not later:
        yield ("what is held does not grow", "there are no samples", MARKS[False])
        return
    yield (
        f"memory grows by less than {MOST_MIB:g} MiB a minute over the last half",
        (
            f"{grows:+.2f} MiB a minute, {own:+.2f} of it the service's own; {later[0].mib:.0f} MiB in the middle, "
            f"{later[-1].mib:.0f} at the end"
        ),
        MARKS[grows < MOST_MIB],
    )
    yield (
        "file descriptors and threads stay as they are",
        (
            f"{files:+.2f} files and {threads:+.2f} threads a minute; {_range([each.files for each in later])} files, "
            f"{_range([each.threads for each in later])} threads over the last half"
        ),
        MARKS[abs(files) < FLAT and abs(threads) < FLAT],
    )


def _range(numbers: list[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}"


def _draw(results: SoakResults, file: Path) -> None:
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    minutes = [each.minutes for each in results.samples]
    above.plot(minutes, [each.mib for each in results.samples], label="service and workers")
    above.plot(minutes, [each.service_mib for each in results.samples], label="service")
    above.set_ylabel("resident, MiB")
    below.plot(minutes, [each.files for each in results.samples], label="file descriptors")
    below.plot(minutes, [each.threads for each in results.samples], label="threads")
    below.set_xlabel("minutes")
    for panel in (above, below):
        panel.set_ylim(bottom=0)
        panel.legend(fontsize="small")
    figure.savefig(file, dpi=120, metadata={"Software": None})
