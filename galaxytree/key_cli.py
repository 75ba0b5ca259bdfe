"""``galaxytree key``: a new API key, and the lines by which a service knows it."""

import hashlib
import json
import secrets

import click

from galaxytree.scopes import DEFAULT_SCOPES, MOST_NAME_LETTERS, SCOPES

MARK = "gxt_"
"""What a key begins with, so that who finds one knows what it is."""

RANDOM_BYTES = 32
"""So many can't be guessed, however fast one SHA-256 is computed."""

_SHOWN_DEFAULT = " ".join(DEFAULT_SCOPES)


def new_key() -> str:
    """Return a key that nobody has."""
    return MARK + secrets.token_urlsafe(RANDOM_BYTES)


@click.command("key")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=DEFAULT_SCOPES,
    envvar="GALAXYTREE_KEY_SCOPE", show_envvar=True,
    help=f"What the key is for; give several. [default: {_SHOWN_DEFAULT}]",
)  # fmt: skip
@click.option(
    "--requests-per-second", type=click.FloatRange(min=0, min_open=True), envvar="GALAXYTREE_KEY_REQUESTS_PER_SECOND",
    show_envvar=True, help="Requests a second, on average, at most. [default: no limit]",
)  # fmt: skip
@click.option(
    "--burst", type=click.IntRange(min=1), envvar="GALAXYTREE_KEY_BURST", show_envvar=True,
    help="Requests at once after a rest. [default: those of a second]",
)  # fmt: skip
@click.option(
    "--concurrent-requests", type=click.IntRange(min=1), envvar="GALAXYTREE_KEY_CONCURRENT_REQUESTS", show_envvar=True,
    help="Requests in service at a time, a batch being one. [default: no limit]",
)  # fmt: skip
@click.option(
    "--images-per-day", type=click.IntRange(min=1), envvar="GALAXYTREE_KEY_IMAGES_PER_DAY", show_envvar=True,
    help="Images from 00:00 to 24:00 UTC. [default: no limit]",
)  # fmt: skip
def key(name: str, *, scopes: tuple[str, ...], **limits: float | None) -> None:
    """Make an API key for NAME.

    The key is shown once, on standard error. The lines for the service's file of keys are written to standard output,
    so that `galaxytree key NAME >> keys.toml.new` adds them to a copy of it, which then takes its place; they hold no
    key, but its SHA-256. Of a NAME that is there already, only the new SHA-256 goes into the file, beside the old one.
    """
    if not name.isprintable() or not 0 < len(name) <= MOST_NAME_LETTERS:
        msg = f"NAME must be 1 to {MOST_NAME_LETTERS} letters that can be printed"
        raise click.UsageError(msg)
    if limits["burst"] is not None and limits["requests_per_second"] is None:
        msg = "--burst needs --requests-per-second"
        raise click.UsageError(msg)
    made = new_key()
    lines = [
        "[[keys]]",
        # What JSON writes, TOML reads.
        f"name = {json.dumps(name, ensure_ascii=False)}",
        f'sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"',
        f"scopes = {json.dumps(list(dict.fromkeys(scopes)))}",
        *(f"{what} = {number}" for what, number in limits.items() if number is not None),
    ]
    click.echo("\n".join(["", *lines]))
    click.echo(f"The key of {name}, which is not shown again: {made}", err=True)
