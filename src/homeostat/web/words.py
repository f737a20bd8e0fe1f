"""Numbers, names and states in the words of a person on call.

Formats only: what is unknown stays unknown and is said so, nothing is rounded to zero.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from homeostat.logbook.rows import Finding, RemedyRecord

UNKNOWN = "unknown"
ACRONYMS = frozenset({"cpu", "wal"})
FACTS_MAX = 40  # lines of evidence shown; the API has all of it
ITEMS_MAX = 12  # of one list within the evidence
SEVERITIES = ("critical", "high", "warning", "info")
ABOUT_IT_ONLY = {"undo", "troubled_since", "not_done", "before", "after"}  # shown elsewhere

AUTONOMY = {
    "observe": "only observes",
    "approve": "asks first",
    "auto": "acts by itself",
}
STATES = {
    "observed": "Would have been done",
    "waiting": "Waiting for you",
    "proposed": "Proposed",
    "rehearsing": "Rehearsing",
    "applying": "Applying",
    "verifying": "Measuring",
    "reverting": "Undoing",
    "kept": "Kept",
    "reverted": "Undone",
    "ineffective": "Undone, did not help",
    "rejected": "Rejected",
    "refused": "Not applied",
    "failed": "Failed",
    "asking": "Needs you",
}
ACTIONS = {
    "propose": "Proposed",
    "approve": "Approved",
    "reject": "Rejected",
    "revert": "Undone",
    "rehearse": "Rehearsed",
    "preview": "Tried on a copy",
    "apply": "Applied",
    "verify": "Measured",
    "ask": "A person is asked",
    "attach": "Attached",
    "detach": "Detached",
    "withdraw": "Withdrawn",
    "pause": "Paused",
    "resume": "Resumed",
}
TONES = {
    "waiting": "you",
    "asking": "you",
    "kept": "good",
    "reverted": "undone",
    "ineffective": "undone",
    "reverting": "undone",
    "failed": "bad",
    "rejected": "quiet",
    "refused": "quiet",
    "observed": "quiet",
}
DATABASE_STATES = {
    "ok": "Well",
    "trouble": "Trouble",
    "unreachable": "Unreachable",
    "paused": "Paused",
}


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with about so many significant digits, or `unknown`."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}"
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" in text else text.rstrip("0").rstrip(".") if "." in text else text


def milliseconds(value: float | None) -> str:
    """Return a time that is given in ms, from microseconds to seconds, with its unit."""
    if value is None:
        return UNKNOWN
    if value >= 10_000:
        return f"{value / 1000:,.0f} s"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    if value >= 10:
        return f"{value:.0f} ms"
    if value >= 0.1 or value == 0:
        return f"{value:.1f} ms"
    return f"{value * 1000:.0f} \u00b5s"


def percent(value: float | None) -> str:
    """Return a share of 1 as percent."""
    if value is None:
        return UNKNOWN
    shown = value * 100
    return f"{shown:.0f} %" if shown >= 10 or shown == int(shown) else f"{shown:.1f} %"


FORMATS: dict[str, Callable[[float], str]] = {
    "share": percent,
    "ms": milliseconds,
    "us": lambda value: milliseconds(value / 1000),
    "seconds": lambda value: f"{number(value)} s",
    "bytes": lambda value: f"{number(value)} bytes",
}


def moment(at: float) -> dt.datetime:
    """Return a time in UTC."""
    return dt.datetime.fromtimestamp(at, tz=dt.UTC)


def iso(at: float) -> str:
    """Return a time for the `datetime` attribute."""
    return moment(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_utc(at: float) -> str:
    """Return a time as people read it before the script turns it into their own zone."""
    return moment(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(value: float | None) -> str:
    """Return a number of bytes in the largest unit (powers of 1000) that leaves a whole part."""
    if value is None:
        return UNKNOWN
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB")):
        if abs(value) >= 10**power:
            return f"{number(value / 10**power)} {unit}"
    return f"{value:.0f} B"


def quantity(value: float | None, unit: str) -> str:
    """Return a reading with its metric's unit."""
    if value is None:
        return UNKNOWN
    plain = {"share": percent, "ms": milliseconds, "bytes": size}.get(unit)
    if plain is not None:
        return plain(value)
    if unit == "us":
        return milliseconds(value / 1000)
    if unit == "bytes/s":
        return f"{size(value)}/s"
    return (
        number(value) if unit in {"count", ""} else f"{number(value)} {unit}".replace(" 1/s", "/s")
    )


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    parts = [
        (whole // 86_400, "d"),
        (whole // 3600 % 24, "h"),
        (whole // 60 % 60, "min"),
        (whole % 60, "s"),
    ]
    first = next((i for i, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def sentence(text: str) -> str:
    """Return a text that starts with a capital letter, unless it starts with a name like p99."""
    first = text.split(" ", 1)[0]
    named = first[:1].isalpha() and any(letter.isdigit() for letter in first)
    return text if named else text[:1].upper() + text[1:]


def statement(text: str) -> str:
    """Return a finding's words as a sentence; a name before a colon keeps its own letters."""
    head = text.split(" ", 1)[0]
    return text if head.endswith(":") else sentence(text)


def autonomy(levels: str) -> str:
    """Return what remedies may do, from `auto` or `approve, auto`, in words."""
    return " or ".join(AUTONOMY.get(level, level) for level in levels.split(", "))


def arrows(text: str) -> str:
    """Return a text with its arrows as one character."""
    return text.replace(" -> ", " \u2192 ")


def action(entry: str) -> str:
    """Return what an audit entry says was done, in words."""
    head, _, rest = entry.partition(": ")
    if entry.startswith("propose ("):
        return "Proposed, " + AUTONOMY.get(entry[9:-1], entry[9:-1])
    if head == "autonomy":
        return f"Set to: {AUTONOMY.get(rest, rest)}"
    said = ACTIONS.get(head, sentence(head))
    if head == "revert" and rest in {"reverted", "ineffective"}:
        return STATES[rest]
    ending = STATES.get(rest, rest).lower()
    return f"{said}: {ending}" if rest and ending != said.lower() else said


def label(name: str) -> str:
    """Return a name of code as words, without its unit: `use_share` is `use`."""
    words = re.split(r"[_.\s]+", name)
    if len(words) > 1 and words[-1] in FORMATS:
        words = words[:-1]
    return sentence(" ".join(word.upper() if word in ACRONYMS else word for word in words))


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of evidence; `kind` is text, time or long."""

    name: str
    value: str
    kind: str = "text"
    at: float = 0.0


def facts(evidence: dict[str, Any]) -> list[Fact]:
    """Return evidence as lines for people, in its own order."""
    found = [fact for name, value in evidence.items() for fact in _facts(name, value)]
    if len(found) > FACTS_MAX:
        left = len(found) - FACTS_MAX
        found = [*found[:FACTS_MAX], Fact("More", f"{left} more lines, see the API")]
    return found


def _facts(name: str, value: Any) -> Iterator[Fact]:
    if name in ABOUT_IT_ONLY or value is None or value in ("", [], {}):
        if value is None:
            yield Fact(label(name), UNKNOWN)
        return
    if isinstance(value, dict):
        inner = [(key, one) for key, one in value.items() if one is not None][:ITEMS_MAX]
        if all(not isinstance(one, dict | list) for _, one in inner):
            unit = name if name.rsplit("_", 1)[-1] in FORMATS else ""
            text = ", ".join(f"{key}: {scalar(unit or key, one)}" for key, one in inner)
            yield Fact(label(name), text)
            return
        for key, one in inner:
            yield from _facts(f"{name} {key}", one)
    elif isinstance(value, list):
        shown = [scalar(name, one) for one in value[:ITEMS_MAX]]
        more = f" and {len(value) - ITEMS_MAX} more" if len(value) > ITEMS_MAX else ""
        yield Fact(label(name), ", ".join(shown) + more)
    elif _is_time(name, value):
        yield Fact(label(name), clock_utc(value), "time", float(value))
    else:
        text = scalar(name, value)
        yield Fact(label(name), text, "long" if "\n" in text or len(text) > 160 else "text")


def scalar(name: str, value: Any) -> str:
    """Return one value with the unit that its name ends in."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {scalar(key, one)}" for key, one in value.items())
    if not isinstance(value, int | float):
        return str(value)
    unit = re.split(r"[_.\s]", name)[-1]
    return FORMATS.get(unit, number)(value)


def _is_time(name: str, value: Any) -> bool:
    named = name.rsplit("_", 1)[-1] in {"at", "since", "until", "opened", "start", "end"}
    return named and isinstance(value, int | float) and value > 1e9


def worst(findings: list[Finding]) -> Finding | None:
    """Return the finding that matters most: the worst, then the newest."""
    ranked = sorted(
        findings,
        key=lambda finding: (_rank(finding.severity), -finding.opened),
    )
    return ranked[0] if ranked else None


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def ended_how(remedy: RemedyRecord) -> str:
    """Return one line on how a remedy ended."""
    title = sentence(remedy.title)
    words = {
        "kept": "It helped and was kept.",
        "reverted": "It was undone.",
        "ineffective": "It did not help and was undone.",
        "rejected": f"{sentence(remedy.decided_by or 'a person')} rejected it.",
        "refused": "It was not applied.",
        "failed": "It failed.",
        "observed": "It was not done: this remedy only observes.",
    }
    return f"{title}. {words.get(remedy.state, '')}".strip()
