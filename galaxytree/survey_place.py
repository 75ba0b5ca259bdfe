"""Where the ledger of a survey is, and whether there is anything in it."""

from pathlib import Path

LEDGER_SUFFIX = ".ledger"


def ledger_of(output: Path) -> Path:
    """Return the folder of the ledger of the survey whose table is to be `output`."""
    return output.with_name(output.name + LEDGER_SUFFIX)


def has_scores(output: Path) -> bool:
    """Whether rows are scored and kept that the table doesn't have yet."""
    return any(ledger_of(output).glob("part-*.parquet"))
