"""API keys: what a file of them holds, and whose key it is that a caller shows."""

import hashlib
import hmac
import os
import tomllib
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from starlette.types import Scope

from app.errors import UnauthorizedError
from app.limits import UNKNOWN_WORD, Limits
from app.refusals import KeysRefusedError
from app.settings import ENV_PREFIX, Settings
from galaxytree.scopes import DEFAULT_SCOPES, MOST_NAME_LETTERS, KeyScope

_VARIABLE = f"{ENV_PREFIX}API_KEYS_FILE"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ApiKey(Limits):
    """One caller's key, or several while it is being changed; only their checksums are stored."""

    name: Annotated[
        str, Field(min_length=1, max_length=MOST_NAME_LETTERS, description="Whose key it is; the log says this name")
    ]
    sha256: Annotated[
        tuple[Digest, ...],
        Field(min_length=1, description="SHA-256 of the key, in hexadecimal; a list of them while it is being changed"),
    ]
    scopes: Annotated[frozenset[KeyScope], Field(min_length=1, description="What it is for")] = frozenset(
        DEFAULT_SCOPES
    )

    @field_validator("sha256", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:  # noqa: ANN401 (whatever TOML can hold)
        return (given,) if isinstance(given, str) else given

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable():
            msg = "a name has letters only that can be printed, since it stands in logs"
            raise ValueError(msg)
        return name

    @property
    def limits(self) -> Limits:
        """How much its caller may ask for."""
        return Limits.model_validate(self.model_dump(include=set(Limits.model_fields)))


class ShownKey(NamedTuple):
    """A key that was shown, and that is valid.

    Attributes
    ----------
    key
    checksum
        Of several checksums that it has, which one it was shown by: its place among them, from 1. None if it has one.
    """

    key: ApiKey
    checksum: int | None


class ApiKeys(BaseModel):
    """The keys that are valid. There may be none: nobody has one then, and what needs one is for nobody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = Counter(key.name for key in self.keys)
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            msg = f"name {twice[0]!r} is there more than once"
            raise ValueError(msg)
        holder: dict[str, str] = {}
        for key in self.keys:
            for digest in key.sha256:
                if digest in holder:
                    # Never the checksum: of a key that somebody thought up it says enough to guess it.
                    msg = f"a sha256 of {holder[digest]!r} is there more than once, the second time for {key.name!r}"
                    raise ValueError(msg)
                holder[digest] = key.name
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file with ``[[keys]]``, each with ``name`` and ``sha256``, ``scopes`` and limits.

        That nobody is to have a key must be said, as ``keys = []``: a file that is empty may be half written.

        Raises
        ------
        KeysRefusedError
            If the file can't be read, or holds something else.
        """
        try:
            held = tomllib.loads(path.read_text("utf-8"))
            if "keys" not in held:
                msg = f"{path} names no API keys: correct the file, or write `keys = []` if nobody is to have one"
                raise KeysRefusedError(msg)
            return cls.model_validate(held)
        except OSError as error:
            msg = f"the API keys in {path} can't be read ({error.strerror}): correct api_keys_file, or leave it unset"
            raise KeysRefusedError(msg) from error
        except ValidationError as error:
            said = _complaint(error, held["keys"])
            msg = f"the API keys in {path} are not as they should be ({said}): correct the file"
            raise KeysRefusedError(msg) from None
        except (ValueError, RecursionError) as error:
            msg = f"the API keys in {path} are no TOML ({error}): correct the file"
            raise KeysRefusedError(msg) from error

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the keys that a service is set to ask for; None if it is open to everyone.

        Raises
        ------
        KeysRefusedError
            If their file can't be read, the variable that names it is set to nothing, or keys are required and there
            is no file.
        """
        if settings.api_keys_file:
            return cls.read(settings.api_keys_file)
        # Elsewhere a variable that is set to nothing is not set; here that would open the service to everyone.
        if os.environ.get(_VARIABLE) == "":
            msg = f"{_VARIABLE} is set to nothing: name the file, or unset it to be open to everyone"
            raise KeysRefusedError(msg)
        if settings.require_keys:
            msg = f"keys are required (require_keys) and none are set: name their file with {_VARIABLE}"
            raise KeysRefusedError(msg)
        return None

    @cached_property
    def _digests(self) -> list[tuple[bytes, ShownKey]]:
        return [
            (bytes.fromhex(digest), ShownKey(key, place if len(key.sha256) > 1 else None))
            for key in self.keys
            for place, digest in enumerate(key.sha256, 1)
        ]

    def check(self, presented: bytes | None) -> ShownKey:
        """Return the key that was shown, as its bytes came; UnauthorizedError if it is none of these.

        Every key is compared, each in constant time, so that the time tells nothing about them.
        """
        digest = hashlib.sha256(presented or b"").digest()
        compare = hmac.compare_digest
        found = [shown for each, shown in self._digests if compare(each, digest)]
        if presented is None or not found:
            msg = "Send a valid key as `Authorization: Bearer KEY`."
            raise UnauthorizedError(msg)
        return found[0]


def shown_key(scope: Scope) -> bytes | None:
    """Return the key that a request shows, as the bytes that came; None if it shows none.

    As text it would have lost the bytes at its end that are white space in Latin-1, such as the last one of a UTF-8
    "à".
    """
    header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = header.partition(b" ")
    return key.strip(b" \t") if scheme.lower() == b"bearer" and key else None


def _complaint(error: ValidationError, entries: Any) -> str:  # noqa: ANN401 (whatever TOML can hold)
    """Return what is wrong first, and with whose key.

    Never the input: whoever writes a key into the file by mistake is not to find it in the log.
    """
    first = error.errors(include_input=False)[0]
    said = first["msg"].removeprefix("Value error, ")
    match first["loc"]:
        case ("keys", int(place), *words):
            word = str(words[0]) if words else ""
            if word == "sha256" and first["type"] != "missing":
                said = "a checksum is the SHA-256 of a key, 64 digits 0 to 9 and a to f; `galaxytree key` makes one"
            elif first["type"] == UNKNOWN_WORD:
                said = f"there is no such word, but {', '.join(ApiKey.model_fields)}"
            whose = _whose(entries[place], place)
            return f"{whose}, {_shown(word)}: {said}" if word else f"{whose}: {said}"
        case words:
            return f"{'.'.join(_shown(str(word)) for word in words) or 'keys'}: {said}"


def _shown(word: str) -> str:
    """Return a word of the file, unless it may be a key that was written in its place."""
    return word if len(word) <= max(map(len, ApiKey.model_fields)) and word.isidentifier() else "a word"


def _whose(entry: Any, place: int) -> str:  # noqa: ANN401 (as above)
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= MOST_NAME_LETTERS:
        return f"key {name!r}"
    return f"key number {place + 1}"
