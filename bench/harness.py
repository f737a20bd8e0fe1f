"""What every benchmark shares: its command line, its output, repeats and CPU time.

    uv run python -m bench.NAME [--quick] [--json]

For people it prints a table, with `--json` one object per line and figure: name, value, unit, peer,
ratio, engine, parameters. `ratio` is ours over the peer's. `--quick` ends within 45 seconds.
Progress goes to stderr. A benchmark is a generator of figures given to `main`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

Figures = Callable[["Options"], Iterable["Figure"]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Attributes:
        quick: end within 45 seconds.
        given: what the benchmark's own arguments say.
    """

    quick: bool
    given: argparse.Namespace = field(default_factory=argparse.Namespace)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        name: words joined by dots; unique within the benchmark together with engine and peer.
        value: the figure; the median where there were repeats.
        unit: `ms`, `MB` (10**6 bytes), `s`, `1/s`, `share`, ...
        peer: what it is compared with, and the peer's value; empty: nothing.
        ratio: value over the peer's; None without one.
        engine: `sqlite` or `postgresql` with its version, if one takes part.
        parameters: what is needed to read the figure and to repeat it.
    """

    name: str
    value: float
    unit: str
    peer: str = ""
    ratio: float | None = None
    engine: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Spent:
    """Time spent in a block, in seconds."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure a block: wall-clock time and this process's CPU, all threads."""
    result = Spent()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield result
    finally:
        result.wall = time.perf_counter() - wall
        result.cpu = time.process_time() - cpu


@dataclass(frozen=True, slots=True)
class Repeats:
    """What repeated measurements gave."""

    values: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """Return the least."""
        return min(self.values)

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.values)

    @property
    def maximum(self) -> float:
        """Return the greatest."""
        return max(self.values)

    def figure(self, name: str, unit: str, *, scale: float = 1.0, **more: Any) -> Figure:
        """Return the median as a figure, with the spread among its parameters."""
        spread = {
            "minimum": rounded(self.minimum * scale),
            "maximum": rounded(self.maximum * scale),
            "repeats": len(self.values),
        }
        parameters = {**more.pop("parameters", {}), **spread}
        return Figure(name, self.median * scale, unit, parameters=parameters, **more)


def repeated(action: Callable[[], object], *, times: int, cpu: bool = False) -> Repeats:
    """Run an action so many times; return the seconds of each run, of CPU if asked for."""
    values = []
    for _ in range(times):
        with spent() as one:
            action()
        values.append(one.cpu if cpu else one.wall)
    return Repeats(tuple(values))


def rounded(value: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{value:.4g}")


def progress(text: str) -> None:
    """Say on stderr what is under way."""
    print(text, file=sys.stderr, flush=True)


def main(
    figures: Figures,
    *,
    about: str,
    arguments: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Read the command line, run the benchmark, print its figures.

    Args:
        figures: yields them as they are measured.
        about: the benchmark's docstring, for --help.
        arguments: adds arguments of its own.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within 45 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    if arguments is not None:
        arguments(parser)
    given = parser.parse_args()
    measured = figures(Options(quick=given.quick, given=given))
    if given.json:
        for figure in measured:
            print(as_json(figure), flush=True)
    else:
        print_table(measured)


def as_json(figure: Figure) -> str:
    """Return a figure as one line of JSON."""
    ratio = None if figure.ratio is None else rounded(figure.ratio)
    shown = {
        "name": figure.name,
        "value": rounded(figure.value),
        "unit": figure.unit,
        "peer": figure.peer,
        "ratio": ratio,
        "engine": figure.engine,
        "parameters": figure.parameters,
    }
    return msgspec.json.encode(shown).decode()


def print_table(figures: Iterable[Figure]) -> None:
    """Print figures for people, each as soon as it is measured."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for figure in figures:
        value = f"{rounded(figure.value):g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} x "
        peer = f"{ratio}{figure.peer}"
        print(f"{figure.name:<34} {value:>14}   {peer}", flush=True)
        shown = ", ".join(f"{key} {value}" for key, value in figure.parameters.items())
        if shown:
            print(f"{'':<34} {'':>14}   {shown}", flush=True)
