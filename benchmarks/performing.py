"""The scenarios of a run, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.failures import FAILURES, NotServedError, reason
from benchmarks.hostile import ATTACKS
from benchmarks.images import Images
from benchmarks.limit import measure_limit
from benchmarks.results import Results, Scenarios
from benchmarks.scenarios import attacks, crowd, memory, mixed, open_loop, start
from benchmarks.scenarios.setting import Setting
from benchmarks.settings import BenchSettings
from benchmarks.systems import MODEL_FILES, Precision, service

_ATTACKS = "attacks"
_MEASURE: dict[str, tuple[str, Callable[[Setting], object]]] = {
    "start-up": ("start", start.measure),
    "open-loop": ("open_loop", open_loop.measure),
    "mixed": ("mixed", mixed.measure),
    "patient-crowd": ("patient_crowd", partial(crowd.measure, patient=True)),
    "impatient-crowd": ("impatient_crowd", partial(crowd.measure, patient=False)),
    "memory": ("memory", memory.measure),
}
SCENARIOS = (*_MEASURE, _ATTACKS)


def perform(
    names: Sequence[str],
    precision: Precision,
    settings: BenchSettings,
    images: Images,
    results: Results,
    say: Callable[[str], None],
) -> None:
    """Put the service through scenarios.

    Parameters
    ----------
    names
        Of `SCENARIOS`.
    results
        What is measured is added to it, and what fails is noted. The limit is measured anew just before: a machine that
        others use too is not what it was some minutes ago.
    say
        Is told what was measured.
    """
    if not names:
        return
    scenarios = Scenarios(precision=precision)
    # From the start, so that a run that is stopped keeps what it has measured.
    results.scenarios.append(scenarios)
    try:
        limit = measure_limit(MODEL_FILES[precision], settings.data, settings.each_seconds, settings.device)
    except FAILURES as error:
        results.skip(f"scenarios {precision}", error)
        say(f"no scenarios {precision}: {reason(error)}")
        return
    scenarios.limit = limit.images_per_second
    setting = Setting(service(precision, settings.device), images.encoded, limit.images_per_second, settings.scale)
    for name, measure in _steps(names, scenarios):
        try:
            measure(setting)
        except FAILURES as error:
            if isinstance(error, NotServedError):
                scenarios.ended[name] = reason(error)
            results.skip(f"{name} {precision}", error)
            say(f"{name} {precision} failed: {reason(error)}")
        else:
            say(f"{name} {precision} is measured")


def _steps(names: Sequence[str], scenarios: Scenarios) -> Iterator[tuple[str, Callable[[Setting], None]]]:
    """Return what is measured, each by itself, so that what fails takes nothing along."""
    for name in names:
        if name == _ATTACKS:
            yield from ((kind, partial(_attack, scenarios, kind)) for kind in ATTACKS)
        else:
            yield name, partial(_keep, scenarios, *_MEASURE[name])


def _keep(scenarios: Scenarios, field: str, measure: Callable[[Setting], object], setting: Setting) -> None:
    setattr(scenarios, field, measure(setting))


def _attack(scenarios: Scenarios, kind: str, setting: Setting) -> None:
    scenarios.attacks.append(attacks.measure(setting, kind))
