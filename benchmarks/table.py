"""Results as a page of Markdown."""

import statistics
from collections.abc import Iterator

from benchmarks.points import down, listed, points
from benchmarks.results import Results, Scenarios, Series
from benchmarks.systems import Precision

_MARKS = {True: "met", False: "**not met**", None: "not measured"}
_FIGURE = "measured"


def write_table(results: Results, plot: str | None = None) -> str:
    """Return the whole page.

    Parameters
    ----------
    plot
        Name of the picture beside it.
    """
    lines = [f"# Benchmarks: {results.machine.name}", "", *_about(results), "", *_points(results), ""]
    if plot:
        lines += [f"![Requests a second by number of connections]({plot})", ""]
    for precision in results.precisions:
        lines += [*_limit(results, precision), *_loads(results, precision)]
        lines += _tails(results, precision)
    for each in results.scenarios:
        lines += _scenarios(each, results.limit_of(each.precision))
    if results.skipped:
        lines += ["## What was skipped", "", *(f"- {what}: {why}" for what, why in results.skipped.items()), ""]
    return "\n".join(lines)


def _about(results: Results) -> Iterator[str]:
    machine = results.machine
    if not results.whole:
        yield "**A part of a run, or a shortened one: not to be published.**"
        yield ""
    yield f"- **Made by** `{results.command}`, {results.finished}; `make bench` runs it all."
    sums = ", ".join(f"{precision} sha256 {each}" for precision, each in results.model.sha256.items())
    yield f"- **Measured**: commit {results.commit}; {results.model.name} {results.model.version}, {sums}."
    if results.peers:
        yield f"- **Peers**: {', '.join(f'{name} {version}' for name, version in results.peers.items())}."
    yield (
        f"- **Machine**: {machine.gpu or machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, "
        f"{machine.kernel}; network on {results.device.upper()}."
    )
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    yield f"- **Software**: Python {machine.python}, {versions}."
    yield f"- **Images**: {results.images}."
    costs = [row.load.client_per_thousand for row in results.rows if row.load.requests]
    if costs:
        yield (
            f"- **Client**: wrk, {sorted(costs)[len(costs) // 2]:.3f} s of processor time for 1,000 requests "
            f"(median; at most {max(costs):.3f}), on the same machine."
        )
    others = [row.busy for row in results.rows] + [row.busy for row in results.limits]
    if others:
        yield (
            f"- **Others** used {statistics.median(others):.0%} of the processor just before each system was started "
            f"(median; at most {max(others):.0%})."
        )
    yield (
        f"- **How**: everything in turn, {results.rounds} times over and each time in another order, "
        f"{results.seconds:g} s a load. Figures are medians over rounds with the least and the most; ratios are taken "
        "within a round."
    )


def _points(results: Results) -> Iterator[str]:
    yield "## What was asked, and what was reached"
    yield ""
    yield "| | asked | reached | |"
    yield "|---|---|---|---|"
    for each in points(results):
        yield f"| {each.number} | {each.asked} | {each.reached} | {_FIGURE if each.figure else _MARKS[each.met]} |"


def _limit(results: Results, precision: Precision) -> Iterator[str]:
    rows = [each for each in results.limits if each.precision == precision]
    if rows:
        found = ", ".join(f"{each.limit.images_per_second:.0f} ({each.limit.configuration})" for each in rows)
        yield f"## {precision}: the limit"
        yield ""
        yield f"Images a second, decoded and scored in one program, by round: {found}."
        yield ""


def _loads(results: Results, precision: Precision) -> Iterator[str]:
    series = [each for each in results.series() if each.precision == precision]
    for connections in sorted({each.connections for each in series}):
        yield f"## {precision}: {connections} connection{'s' if connections > 1 else ''}"
        yield ""
        yield "| system | requests/s | of the limit | p50, ms | p95, ms | p99, ms | failed | MiB: peak, RSS, PSS |"
        yield "|---|---|---|---|---|---|---|---|"
        chosen = [each for each in series if each.connections == connections]
        for each in sorted(chosen, key=lambda one: one.median, reverse=True):
            yield _row(each)
        yield ""


def _tails(results: Results, precision: Precision) -> Iterator[str]:
    rows = [each for each in results.tails if each.precision == precision]
    if rows:
        yield f"The service at {rows[0].connections} connections, timed by the project's own client, by round:"
        yield ""
        yield from (
            f"- {each.times}; {listed(each.statuses)}. {_cost(each.client_per_thousand)}"
            for each in sorted(rows, key=lambda row: row.round)
        )
        yield ""


def _row(series: Series) -> str:
    rates = series.per_second
    times = " | ".join(f"{series.time_ms(name):.1f}" for name in ("p50_ms", "p95_ms", "p99_ms"))
    ratio = "-" if series.ratio is None else down(series.ratio)
    name = f"**{series.label}**" if series.system == "service" else series.label
    spread = f" ({min(rates):.0f} to {max(rates):.0f})" if len(rates) > 1 else " (one round)"
    memory = f"{series.memory.peak:.0f}, {series.memory.rss:.0f}, {series.memory.pss:.0f}"
    failed = f"{series.failed} of {series.requests}"
    return f"| {name} | {series.median:.0f}{spread} | {ratio} | {times} | {failed} | {memory} |"


def _scenarios(scenarios: Scenarios, limit: float | None) -> Iterator[str]:
    facts = [*_steady_facts(scenarios), *_crowd_facts(scenarios), *_attack_facts(scenarios), *_memory_facts(scenarios)]
    if facts:
        yield f"## {scenarios.precision}: what else a service meets"
        yield ""
        if scenarios.limit:
            rounds = f"; in the rounds: {limit:.0f}" if limit else ""
            yield f"- **Limit** just before: {scenarios.limit:.0f} images a second{rounds}."
        yield from (f"- {fact}" for fact in facts)
        yield ""


def _steady_facts(scenarios: Scenarios) -> Iterator[str]:
    if start := scenarios.start:
        yield f"**Start-up** to ready: {', '.join(f'{each:.2f}' for each in start.seconds)} s."
    if loop := scenarios.open_loop:
        yield (
            f"**Open loop**, {loop.rate:.0f} requests a second for {loop.seconds:.0f} s, times from when each was due: "
            f"{loop.times}, at most {loop.times.most_ms:.1f} ms; a lone request {loop.lone.p50_ms:.1f} ms. "
            f"{_cost(loop.client_per_thousand)}"
        )
    if mixed := scenarios.mixed:
        yield (
            f"**5 % corrupt**, 32 connections, {mixed.per_second:.0f} requests a second: good ones "
            f"{listed(mixed.good)}, {mixed.good_times}; bad ones {listed(mixed.bad)}; connections closed: "
            f"{mixed.closed}. "
            f"{_cost(mixed.client_per_thousand)}"
        )


def _crowd_facts(scenarios: Scenarios) -> Iterator[str]:
    for crowd in (scenarios.patient_crowd, scenarios.impatient_crowd):
        if crowd:
            manner = "waiting as Retry-After says" if crowd.patient else "sending again at once"
            memory = f"{crowd.before.rss:.0f} MiB before, {crowd.most.peak:.0f} at most, {crowd.after.rss:.0f} after"
            yield (
                f"**{crowd.lines:,} connections** at once, {manner}: {listed(crowd.statuses)}; {crowd.per_second:.0f} "
                f"accepted a second, {crowd.accepted}; refused: {crowd.refused}. Memory {memory}; a lone request "
                f"{crowd.lone_before.p50_ms:.1f} ms before, {crowd.lone_after.p50_ms:.1f} after. "
                f"{_cost(crowd.client_per_thousand)}"
            )


def _attack_facts(scenarios: Scenarios) -> Iterator[str]:
    for each in scenarios.attacks:
        yield (
            f"**{each.kind}** for {each.seconds:.0f} s: {listed(each.outcomes)}; others {each.calm} before, "
            f"{each.times} meanwhile, {listed(each.statuses)}; memory {each.before.rss:.0f} MiB before, "
            f"{each.during.peak:.0f} at most. The attacker took {each.attacker_seconds:.1f} s of processor time."
        )


def _cost(per_thousand: float) -> str:
    return f"Client: {per_thousand:.3f} s of processor time for 1,000 requests."


def _memory_facts(scenarios: Scenarios) -> Iterator[str]:
    if run := scenarios.memory:
        held = "; ".join(
            f"{each.requests:,}: {memory.peak:.0f}, {memory.rss:.0f}, {memory.pss:.0f}, {memory.uss:.0f}"
            for each in run.held
            for memory in [each.memory]
        )
        yield (
            f"**Memory** after so many requests, MiB: peak until then, RSS, PSS, USS: {held}. Answers: "
            f"{listed(run.statuses)}."
        )
