"""What Prometheus scrapes: the newest readings in its text format, version 0.0.4.

Names follow its rules: base units at the end (seconds, bytes, ratio), `_total` for counters. What
is unknown is absent, never 0. Buckets are the same for all histograms, so they can be added.
The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from homeostat.operate.views import SeriesNow, Status

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# unit -> the end of a name that is taken off, the one that Prometheus wants, and the factor
_UNITS: Mapping[str, tuple[str, str, float]] = {
    "ms": ("_ms", "_seconds", 1e-3),
    "us": ("_us", "_seconds", 1e-6),
    "s": ("_seconds", "_seconds", 1.0),
    "bytes": ("_bytes", "_bytes", 1.0),
    "share": ("_share", "_ratio", 1.0),
    "1/s": ("", "_per_second", 1.0),
    "bytes/s": ("", "_per_second", 1.0),
}
WEIGHED = {"pool.in_use_ms"}  # its buckets count milliseconds, not observations
_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Family:
    """All series of one name."""

    name: str
    kind: str
    help: str
    lines: list[str] = field(default_factory=list)

    def add(self, labels: _Labels, value: float, *, suffix: str = "") -> None:
        """Add one line."""
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
        shown = f"{{{inside}}}" if inside else ""
        self.lines.append(f"{self.name}{suffix}{shown} {number(value)}")


def exposition(status: Status, series: Iterable[SeriesNow]) -> str:
    """Return the text for one scrape."""
    families: dict[str, Family] = {}
    for family in _own(status):
        families[family.name] = family
    named = {one.key: one.name or one.label for one in status.databases}
    for one in series:
        if one.metric in WEIGHED:
            continue
        name, factor = name_of(one)
        family = families.setdefault(name, Family(name, one.kind, one.help))
        labels = (
            ("database", named.get(one.database, one.database)),
            ("place", one.instance),
            ("subject", one.subject),
            ("name", one.name),
        )
        if one.buckets is not None:
            _add_histogram(family, labels, one, factor)
        elif one.value is not None:
            family.add(labels, one.value * factor)
    return "".join(_text(family) for family in families.values() if family.lines)


def name_of(one: SeriesNow) -> tuple[str, float]:
    """Return the name that Prometheus is told, and the factor of its values."""
    plain = "homeostat_" + one.metric.replace(".", "_")
    ending, wanted, factor = _UNITS.get(one.unit, ("", "", 1.0))
    if wanted and not plain.endswith(wanted):
        plain = plain.removesuffix(ending) + wanted
    return (f"{plain}_total" if one.kind == "counter" else plain), factor


def _own(status: Status) -> Iterator[Family]:
    """Return what the operator says of itself and of each database."""
    build = Family("homeostat_build_info", "gauge", "The version that runs.")
    build.add((("version", status.version),), 1)
    yield build
    if status.uptime_seconds is not None:
        up = Family("homeostat_uptime_seconds", "gauge", "How long the operator has run.")
        up.add((), status.uptime_seconds)
        yield up
    writes = Family("homeostat_logbook_ok", "gauge", "1 while the logbook can be written.")
    writes.add((), 0 if status.state == "logbook" else 1)
    yield writes
    about = Family("homeostat_database_info", "gauge", "Which databases are observed.")
    reached = Family("homeostat_database_reachable", "gauge", "0: probes get no answer.")
    open_ = Family("homeostat_findings_open", "gauge", "Open findings.")
    waiting = Family("homeostat_remedies_waiting", "gauge", "Remedies that wait for a person.")
    kept = Family("homeostat_remedies_kept", "gauge", "Remedies in the logbook that were kept.")
    undone = Family("homeostat_remedies_undone", "gauge", "Those that were undone.")
    for one in status.databases:
        labels = (("database", one.name or one.label),)
        more = (("key", one.key), ("dialect", one.dialect), ("version", one.version))
        about.add((*labels, *more, ("group", one.group)), 1)
        reached.add(labels, 0 if one.state == "unreachable" else 1)
        open_.add(labels, one.findings)
        waiting.add(labels, one.waiting)
        kept.add(labels, one.healed)
        undone.add(labels, one.reverted)
    yield from (about, reached, open_, waiting, kept, undone)


def _add_histogram(family: Family, labels: _Labels, one: SeriesNow, factor: float) -> None:
    buckets = one.buckets
    if buckets is None:
        return
    for bound, count in zip(buckets.below, buckets.counts, strict=True):
        family.add((*labels, ("le", number(bound * factor))), count, suffix="_bucket")
    family.add((*labels, ("le", "+Inf")), buckets.count, suffix="_bucket")
    family.add(labels, buckets.total * factor, suffix="_sum")
    family.add(labels, buckets.count, suffix="_count")


def _text(family: Family) -> str:
    about = family.help.replace("\\", r"\\").replace("\n", r"\n")
    head = f"# HELP {family.name} {about}\n# TYPE {family.name} {family.kind}\n"
    return head + "".join(f"{line}\n" for line in family.lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """Return a number as short as it can be read back."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.12g}"
