"""What a scrape told, as values."""

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families


class Samples:
    """The samples of a text in Prometheus' format."""

    def __init__(self, text: str) -> None:
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation, family.name
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self._values, key
                self._values[key] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample; the prefix of the name is left out."""
        return self._values[f"statesys_{name}", frozenset(labels.items())]

    def by(self, name: str, label: str, **others: str) -> dict[str, float]:
        """The values by one label, without zeros."""
        return {
            labels[label]: value
            for labels, value in self.of(name)
            if value and others.items() <= labels.items()
        }

    def of(self, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """Labels and value of each sample of a name."""
        for (found, labels), value in self._values.items():
            if found == f"statesys_{name}":
                yield dict(labels), value

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self._values}
