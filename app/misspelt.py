"""Variables that look like settings and are none: they are told of, and what is misspelt never opens the service."""

import logging
import re
from collections.abc import Iterable
from difflib import get_close_matches

from app.refusals import SettingsRefusedError
from app.settings import ENV_PREFIX, Settings

RESTRICTING = ("API_KEYS_FILE", "REQUIRE_KEYS", "ADDRESS_LIMITS", "HOSTS", "TRUSTED_PROXIES")
"""Settings without which more is open; the first one is named where several are meant as well."""

OTHERS = frozenset(
    {
        "API_KEY",
        "DETAIL",
        "JSON",
        "KEY_BURST",
        "KEY_CONCURRENT_REQUESTS",
        "KEY_IMAGES_PER_DAY",
        "KEY_REQUESTS_PER_SECOND",
        "KEY_SCOPE",
        "LOCAL",
        "SERVER",
        "TIMEOUT_SECONDS",
    }
)
"""What other commands are set by, whose settings may stand in the same environment."""

OTHERS_BEGIN = (
    "BENCH_",
    "CALIBRATE_",
    "COMPARE_",
    "EVALUATE_",
    "EXPERIMENT_",
    "EXPLORE_",
    "EXPORT_",
    "PREPARE_",
    "QUANTISE_",
    "REWRITE_",
    "SCORE_",
    "TEACH_",
    "TRAIN_",
)
"""How those begin of which there are many."""

_SURELY = 0.8
"""So near, of 1, is what was meant as the other: what is less so may be another program's."""

_PARTS = {
    "_KEYS_": "API_KEYS_FILE",
    "_ALLOWED_HOSTS_": "HOSTS",
    "_HOSTNAMES_": "HOSTS",
    "_TRUSTED_HOSTS_": "HOSTS",
    "_PROXIES_": "TRUSTED_PROXIES",
    "_PROXY_": "TRUSTED_PROXIES",
}
"""What a name has within that is meant to restrict access, in whatever words; and the setting for it."""

# For a Service that is called galaxytree, or galaxytree-something, in the namespace of a pod.
_SERVICE_HOST = "SERVICE_HOST"
_SERVICE_LINK = re.compile(
    rf"(\w+_)?({_SERVICE_HOST}|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)

_log = logging.getLogger(__name__)


def check_variables(variables: Iterable[str]) -> None:
    """Warn of each variable that begins as a setting does, and is none.

    Parameters
    ----------
    variables
        The names of all there are.

    Raises
    ------
    SettingsRefusedError
        If one is near to a setting that restricts access: without that, everyone would be let in by mistake.
    """
    written = sorted(each for each in variables if each.upper().startswith(ENV_PREFIX))
    names = {each.upper().removeprefix(ENV_PREFIX) for each in written}
    refused = []
    for variable in written:
        name = variable.upper().removeprefix(ENV_PREFIX)
        # In small letters some are heeded and some are not: none is to be counted on.
        in_capitals = variable == variable.upper()
        if _is_known(name, names) and (in_capitals or name.lower() not in Settings.model_fields):
            continue
        meant = _meant(name)
        if meant in RESTRICTING:
            refused.append(f"{variable} (did you mean {ENV_PREFIX}{meant}?)")
        elif in_capitals or not meant:
            hint = f"; did you mean {ENV_PREFIX}{meant}?" if meant else ""
            _log.warning("%s is no setting, and changes nothing%s", variable, hint)
        else:
            _log.warning("%s is not to be counted on: settings are in capitals, as %s%s", variable, ENV_PREFIX, meant)
    if refused:
        msg = f"no setting, but near to one that restricts access: {', '.join(refused)}; correct the name, or unset it"
        raise SettingsRefusedError(msg)


def _is_known(name: str, names: set[str]) -> bool:
    if name.lower() in Settings.model_fields or name in OTHERS or name.startswith(OTHERS_BEGIN):
        return True
    service, is_port, rest = name.rpartition("_PORT")
    return bool(_SERVICE_LINK.fullmatch(name)) or bool(is_port and not rest and f"{service}_{_SERVICE_HOST}" in names)


def _meant(name: str) -> str | None:
    """Return the setting that a name is nearest to; None if it is near to none."""
    if near := get_close_matches(name, RESTRICTING, n=1, cutoff=_SURELY):
        return near[0]
    if meant := next((setting for part, setting in _PARTS.items() if part in f"_{name}_"), None):
        return meant
    others = [each.upper() for each in Settings.model_fields if each.upper() not in RESTRICTING]
    return next(iter(get_close_matches(name, others, n=1)), None)
