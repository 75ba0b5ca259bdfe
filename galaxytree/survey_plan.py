"""What a survey is to do, before any image is asked for."""

import csv
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from galaxytree.catalogue import Catalogue, format_of, open_catalogue, written_format_of
from galaxytree.survey_engine import Detail, ModelFacts
from galaxytree.survey_errors import NetworkChangedError, SurveyDiffersError, UnfitCatalogueError, WrongOptionError
from galaxytree.survey_manifest import Manifest, Option
from galaxytree.survey_place import ledger_of
from galaxytree.survey_rows import SurveyRows
from galaxytree.survey_sources import ImageSource, Wanted, image_source
from galaxytree.survey_watch import Watch
from galaxytree.views import Views

DEFAULT_CHUNK_ROWS = 256
"""How many rows are asked for, kept and tried again together."""


@dataclass(frozen=True)
class SurveyCall:
    """What the user asks for.

    Attributes
    ----------
    catalogue, output
        The table to score, and the one to write.
    wanted
        Where images are.
    where, limit
        Which rows count, and how many of them at most; all if None.
    columns
        Which of the catalogue's columns to keep, comma-separated as in a CSV file; all if None.
    prefix
        What the names of the columns of scores begin with.
    detail, views
        As in ``POST /classify/batch``; views as the service is set to if None.
    chunk_rows
        How many rows are asked for, kept and tried again together.
    retry_failed
        Whether to try failed rows again.
    overwrite
        Whether a file that is none of this survey's may be replaced by the table.
    """

    catalogue: Path
    output: Path
    wanted: Wanted
    where: str | None = None
    limit: int | None = None
    columns: str | None = None
    prefix: str = ""
    detail: Detail = "scores"
    views: Views | None = None
    chunk_rows: int = DEFAULT_CHUNK_ROWS
    retry_failed: bool = False
    overwrite: bool = False

    @property
    def ledger(self) -> Path:
        """The folder of the ledger."""
        return ledger_of(self.output)


@dataclass(frozen=True)
class Plan:
    """A call, seen against its catalogue.

    Attributes
    ----------
    call
    catalogue
    source
        Where images are.
    rows
        Which rows count.
    """

    call: SurveyCall
    catalogue: Catalogue
    source: ImageSource
    rows: SurveyRows

    @classmethod
    def of(cls, call: SurveyCall) -> "Plan":
        """Look at the catalogue.

        Raises
        ------
        CatalogueError
            If it can't be read, the condition can't be understood, or there are no tables of such names.
        UnfitCatalogueError
            If it lacks a column.
        WrongOptionError
            If the table is to stand where the catalogue does.
        """
        # With what it needs, which would otherwise be missed when all is scored.
        written_format_of(call.output).code()
        catalogue = open_catalogue(call.catalogue)
        if call.output.exists() and call.output.samefile(call.catalogue):
            msg = f"{call.output} is the catalogue itself, and would be replaced by the table: choose another --output"
            raise WrongOptionError(msg)
        source = image_source(catalogue.schema, call.catalogue.parent, call.wanted)
        plan = cls(call, catalogue, source, SurveyRows(catalogue, call.where, call.limit))
        twice = sorted({name for name in plan.columns if plan.columns.count(name) > 1})
        if twice:
            msg = f"--columns has {twice[0]} twice; each of the table's columns has a name of its own"
            raise UnfitCatalogueError(msg)
        unknown = [name for name in plan.columns if name not in catalogue.schema.names]
        if unknown:
            msg = f"the catalogue has no column {unknown[0]} (--columns); its columns are {_listed(catalogue)}"
            raise UnfitCatalogueError(msg)
        # Now, since a condition that can't be understood is to be known before anything is done.
        _ = plan.rows.count
        return plan

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Which of the catalogue's columns the table has."""
        if self.call.columns is None:
            return tuple(self.catalogue.schema.names)
        try:
            (names,) = csv.reader([self.call.columns], skipinitialspace=True) if self.call.columns else ([],)
        except csv.Error as error:
            msg = f"--columns {self.call.columns!r} is no line of names ({error})"
            raise WrongOptionError(msg) from error
        return tuple(names)

    @cached_property
    def watch(self) -> Watch:
        """What knows whether the catalogue was changed."""
        return Watch(self.catalogue)

    @cached_property
    def options(self) -> dict[str, Option]:
        """All that decides the result, but for the model, in words."""
        call = self.call
        selection = {} if call.where is None else {"--where (rows, sha256)": self.rows.selection}
        return {
            "catalogue (sha256)": self.watch.sha256,
            "images": shlex.join(self.source.words),
            "--where": call.where,
            **selection,
            "--limit": call.limit,
            "--columns": list(self.columns),
            "--prefix": call.prefix,
            "--detail": call.detail,
            "--views": call.views,
            "--chunk-rows": call.chunk_rows,
        }

    @property
    def command(self) -> str:
        """The command as far as it decides the result: neither by whom, nor where to, nor how fast."""
        call = self.call
        words = ["galaxytree", "score", call.catalogue.name, *self.source.words]
        given = {
            "--where": call.where, "--limit": call.limit, "--columns": call.columns, "--prefix": call.prefix or None,
            "--detail": call.detail, "--views": call.views,
        }  # fmt: skip
        words += [word for name, value in given.items() if value is not None for word in (name, str(value))]
        return shlex.join(words)

    def begin(self, model: ModelFacts) -> Manifest:
        """Return the manifest of a survey that begins."""
        return Manifest(
            galaxytree=version("galaxytree"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            survey=self.options,
            model=model,
            detail=self.call.detail,
            views=self.call.views or model.default_views,
            rows=self.rows.count,
            chunk_rows=self.call.chunk_rows,
        )

    def check_same(self, manifest: Manifest) -> None:
        """Raise SurveyDiffersError if a ledger is of another survey than this one."""
        self._compare(manifest.survey, self.options, "this call has")

    def check_model(self, manifest: Manifest, model: ModelFacts) -> None:
        """Raise SurveyDiffersError if a ledger was begun with another model than the one that answers now."""
        self._compare(_in_words(manifest.model), _in_words(model), "the service has")

    def _compare(self, begun: Mapping[str, Option], now: Mapping[str, Option], who: str) -> None:
        differing = [
            f"{_given(key, begun.get(key))}, {who} {'none' if value is None else repr(value)}"
            for key, value in now.items()
            if begun.get(key) != value
        ]
        if differing:
            msg = (
                f"{self.call.ledger} is of another survey; it was begun {'; '.join(differing)}. Go on as it "
                f"was begun, choose another --output, or remove that folder to begin anew"
            )
            raise SurveyDiffersError(msg)

    def check_network(self, manifest: Manifest, network: str) -> None:
        """Raise NetworkChangedError if an answer is of another network than the survey's."""
        if network != manifest.model.network:
            msg = (
                f"an answer came from the network {network}, and the survey was begun with {manifest.model.network}: "
                f"was a service started with another model, or on a CPU that takes another of its files? Nothing of it "
                f"was kept. Start the service as it was, and give the same command again"
            )
            raise NetworkChangedError(msg)

    def table_schema(self, manifest: Manifest) -> pa.Schema:
        """Return what the table will look like: the catalogue's columns, then the scores.

        Raises
        ------
        UnfitCatalogueError
            If both have a column of one name. Case doesn't count, since many formats and databases ignore it.
        UnwritableError
            If the table's format can't hold a column.
        """
        kept = [self.catalogue.schema.field(name) for name in self.columns]
        scores = [field.with_name(self.call.prefix + field.name) for field in manifest.schema]
        taken = {field.name.casefold() for field in scores}
        clash = [field.name for field in kept if field.name.casefold() in taken]
        if clash:
            msg = (
                f"the catalogue has columns named like those of the scores ({', '.join(clash)}): set --prefix, for "
                "instance --prefix gz_, or leave them out with --columns"
            )
            raise UnfitCatalogueError(msg)
        schema = pa.schema([*kept, *scores], self.catalogue.schema.metadata)
        format_of(self.call.output).code().kept(schema)
        return schema


def _listed(catalogue: Catalogue) -> str:
    return ", ".join(catalogue.schema.names)


def _given(key: str, value: Option) -> str:
    return f"without {key}" if value is None else f"with {key} {value!r}"


def _in_words(model: ModelFacts) -> dict[str, Option]:
    """Return what has to stay as it is, in words."""
    facts = asdict(model)
    return {
        "model": f"{model.name} {model.version}",
        "model.onnx (sha256)": model.sha256,
        "network (sha256)": model.network,
        "tree": model.tree,
        "scores": ", ".join(facts["columns"]),
        "outputs": ", ".join(facts["outputs"]),
    }
