"""What tests read of ``GET /metrics``: with Prometheus's own parser."""

from dataclasses import dataclass
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scrape:
    """All samples of one answer, by their names and labels."""

    samples: dict[tuple[str, Labels], float]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read an answer; each series is to be there once."""
        found: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                place = (sample.name, frozenset(sample.labels.items()))
                assert place not in found
                found[place] = sample.value
        return cls(found)

    @classmethod
    def at(cls, url: str) -> Self:
        """Ask a service."""
        answer = httpx.get(f"{url}/metrics", timeout=30)
        assert answer.status_code == 200
        return cls.of(answer.text)

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 if there is none, as Prometheus's `increase` has it."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return all samples of a name, by some of their labels, added up."""
        found: dict[tuple[str, ...], float] = {}
        for (each, of), value in self.samples.items():
            if each == name:
                place = tuple(dict(of)[label] for label in labels)
                found[place] = found.get(place, 0.0) + value
        return found

    def since(self, before: "Scrape") -> "Scrape":
        """Return what was added since; what did not change is left out."""
        added = {place: value - before.samples.get(place, 0.0) for place, value in self.samples.items()}
        return Scrape({place: value for place, value in added.items() if value})

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples}
