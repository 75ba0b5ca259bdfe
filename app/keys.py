"""Who may have images classified: those who show a key, where keys are set."""

import hashlib
import hmac
import os
import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Scope

from app.errors import UnauthorizedError
from app.refusals import KeysRefusedError
from app.settings import ENV_PREFIX, Settings

_VARIABLE = f"{ENV_PREFIX}API_KEYS_FILE"


class ApiKey(BaseModel):
    """One key; only its checksum is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, description="Whose key it is; the log says this name")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the key, in hexadecimal")]


class ApiKeys(BaseModel):
    """The keys that are valid; without any the service is open to everyone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Annotated[tuple[ApiKey, ...], Field(min_length=1)]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file with ``[[keys]]``, each with ``name`` and ``sha256``.

        Raises
        ------
        KeysRefusedError
            If the file can't be read, or holds something else.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            msg = f"the API keys in {path} can't be read ({error.strerror}): correct api_keys_file, or leave it unset"
            raise KeysRefusedError(msg) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            msg = f"the API keys in {path} are not as they should be ({where}: {first['msg']}): correct the file"
            raise KeysRefusedError(msg) from error
        except ValueError as error:
            msg = f"the API keys in {path} are no TOML ({error}): correct the file"
            raise KeysRefusedError(msg) from error

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the keys that a service is set to ask for; None if it is open to everyone.

        Raises
        ------
        KeysRefusedError
            If their file can't be read, or the variable that names it is set to nothing.
        """
        if settings.api_keys_file:
            return cls.read(settings.api_keys_file)
        # Elsewhere a variable that is set to nothing is not set; here that would open the service to everyone.
        if os.environ.get(_VARIABLE) == "":
            msg = f"{_VARIABLE} is set to nothing: name the file, or unset it to be open to everyone"
            raise KeysRefusedError(msg)
        return None

    def check(self, presented: bytes | None) -> ApiKey:
        """Return the key that was shown, as its bytes came; UnauthorizedError if it is none of these.

        Every key is compared, each in constant time, so that the time tells nothing about them.
        """
        digest = hashlib.sha256(presented or b"").hexdigest()
        found = [key for key in self.keys if hmac.compare_digest(key.sha256, digest)]
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
