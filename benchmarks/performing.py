"""The scenarios of a run, one after the other."""

from collections.abc import Callable, Sequence

from benchmarks.images import Images
from benchmarks.limit import LimitError, measure_limit
from benchmarks.results import Results, Scenarios
from benchmarks.scenarios import attacks, crowd, memory, mixed, open_loop, start
from benchmarks.scenarios.setting import Setting
from benchmarks.settings import BenchSettings
from benchmarks.systems import MODEL_FILES, NotServedError, Precision, service

_MEASURE: dict[str, tuple[str, Callable[[Setting], object]]] = {
    "start-up": ("start", start.measure),
    "open-loop": ("open_loop", open_loop.measure),
    "mixed": ("mixed", mixed.measure),
    "patient-crowd": ("patient_crowd", lambda setting: crowd.measure(setting, patient=True)),
    "impatient-crowd": ("impatient_crowd", lambda setting: crowd.measure(setting, patient=False)),
    "attacks": ("attacks", attacks.measure),
    "memory": ("memory", memory.measure),
}
SCENARIOS = tuple(_MEASURE)


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
        What is measured is added to it, and what fails is noted. The limit is looked up there; if it was not measured,
        that is done now.
    say
        Is told what was measured.
    """
    scenarios = Scenarios(precision=precision)
    # From the start, so that a run that is stopped keeps what it has measured.
    results.scenarios.append(scenarios)
    try:
        limit = _limit(precision, settings, results) if names else 0.0
    except LimitError as error:
        results.skipped[f"scenarios {precision}"] = str(error)
        return
    setting = Setting(service(precision, settings.device), images.encoded, limit, settings.scale)
    for name in names:
        field, measure = _MEASURE[name]
        try:
            setattr(scenarios, field, measure(setting))
        except (NotServedError, TimeoutError, OSError) as error:
            results.skipped[f"{name} {precision}"] = f"{type(error).__name__}: {error}"
            say(f"{name} {precision} failed: {error!r}")
        else:
            say(f"{name} {precision} is measured")


def _limit(precision: Precision, settings: BenchSettings, results: Results) -> float:
    known = results.limit_of(precision)
    if known is not None:
        return known
    return measure_limit(
        MODEL_FILES[precision], settings.data, settings.each_seconds, settings.device
    ).images_per_second
