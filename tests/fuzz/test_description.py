"""The whole description of the interface, against a service that is open, and one that asks for keys.

Unlike `tests.app.test_openapi`, which holds every answer of the routes that score against every rule, this goes through
all routes there are, with as many cases as are asked for, and looks for what nobody should ever be answered: a 5xx, a
status, type or body that the description doesn't know.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from galaxytree.scopes import SCOPES
from tests.fuzz.counting import CASES, counted
from tests.servers import Process, serving
from tests.tiny_model import write_model

KEY = "for the test"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
WAYS = {"open": None, "with a key": KEY, "without the key": None, "with a wrong key": "wrong"}
_SAME = 3
"""Cases of an operation that takes nothing, so that all are the same."""

_SLOW = 25
"""Cases of an operation that does much, such as to load a model."""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Process]]:
    """Run an open service and one with keys; by whether it has keys."""
    folder = tmp_path_factory.mktemp("described")
    keys = folder / "keys.toml"
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keys.write_text(f'[[keys]]\nname = "test"\nsha256 = "{digest}"\nscopes = {[*SCOPES]}\n')
    model = str(write_model(folder / "tiny", outputs=("scores", "evidence")))
    # Nothing is looked up, or fetched, of what comes out.
    shared = {"model": model, "fetch_hosts": "127.0.0.1:9"}
    with ExitStack() as stack:
        yield {
            False: stack.enter_context(serving(folder / "open", **shared)),
            True: stack.enter_context(serving(folder / "keyed", **shared, api_keys_file=str(keys))),
        }


def operations(process: Process) -> Iterator[schemathesis.schemas.APIOperation]:  # type: ignore[name-defined]
    for found in schemathesis.openapi.from_url(f"{process.url}/openapi.json").get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def cases_of(operation: object, number: int) -> int:
    """Return how many cases an operation gets, of those for one that takes something."""
    if "/admin/" in operation.path:  # type: ignore[attr-defined]
        return min(number, _SLOW)
    return number if takes_something(operation) else _SAME


def takes_something(operation: object) -> bool:
    return any(len(getattr(operation, each)) for each in ("query", "body", "path_parameters"))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_answered_that_is_not_described(services: dict[bool, Process], way: str) -> None:
    process = services[way != "open"]
    found = list(operations(process))
    assert {"/classify", "/classify/batch", "/model", "/decision-tree"} <= {each.path for each in found}
    asking = sum(takes_something(each) for each in found)
    each_way = max(2, -(-CASES // (asking * len(MODES) * len(WAYS))))
    failures: list[str] = []
    count, key = counted("cases of Schemathesis"), WAYS[way]
    for number, (operation, mode) in enumerate((each, mode) for each in found for mode in MODES):
        if mode is GenerationMode.NEGATIVE and not takes_something(operation):
            continue

        def hold(case: schemathesis.Case) -> None:
            count()
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            case.call_and_validate(headers=headers, checks=CHECKS, timeout=60)

        run = settings(
            max_examples=cases_of(operation, each_way),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(case=operation.as_strategy(mode))(hold))
        try:
            seed(number)(run)()
        # Schemathesis's own is none of the usual ones.
        except (AssertionError, BaseExceptionGroup) as error:
            failures.append(f"{operation.label}, {mode.value}: {error}")
    assert not failures, "\n\n".join(failures)
    assert process.popen.poll() is None
    assert "Traceback" not in process.log
