"""`homeostat remedy`: a table of remedies, and the story of one through its five moves."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence
from typing import Any

from homeostat.cli.text import Screen, number, table
from homeostat.logbook.rows import Json, RemedyRecord, Step
from homeostat.operate.choose import FOR_A_PERSON
from homeostat.operate.verify import change_in_words
from homeostat.operate.views import RemedyView

COLOUR_OF_STATE = {
    "kept": "green",
    "waiting": "yellow",
    "asking": "yellow",
    "failed": "red",
    "reverted": "cyan",
    "ineffective": "cyan",
}
ENDINGS = {
    "observed": "nothing was done: its autonomy is observe",
    "waiting": "waits for a person to approve or reject it",
    "kept": "it stays",
    "reverted": "it was undone",
    "ineffective": "it did not help, so it was undone",
    "rejected": "a person refused it",
    "refused": "it was not applied",
    "failed": "it could not be applied, and was undone",
    "asking": "a person has to look: what was done cannot be told",
}
INDENT = 13
UNITS = {"ms": "ms", "seconds": "s", "bytes": "bytes"}
OWN_EVIDENCE = ("undo",)  # shown where it is applied


def list_lines(remedies: Sequence[RemedyRecord], screen: Screen) -> list[str]:
    """Return remedies as a table, the newest first."""
    if not remedies:
        return ["No remedy has been proposed yet."]
    rows = [("no.", "state", "proposed", "remedy", "what it does")]
    rows += [
        (str(r.id), r.state, screen.when(r.proposed), r.key, r.title or r.why) for r in remedies
    ]
    head, *lines = table(rows, screen)
    painted = [
        line.replace(remedy.state, screen.paint(remedy.state, COLOUR_OF_STATE[remedy.state]), 1)
        if remedy.state in COLOUR_OF_STATE
        else line
        for line, remedy in zip(lines, remedies, strict=True)
    ]
    return [screen.paint(head, "dim"), *painted]


def story_lines(view: RemedyView, screen: Screen, *, suffix: str) -> list[str]:
    """Return the story of a remedy: found, then propose, rehearse, apply, verify, and its end.

    Args:
        view: the remedy with finding, run and steps.
        screen: where it goes.
        suffix: what every command needs appended, e.g. ` --data DIR`.
    """
    remedy = view.remedy
    steps = {step.name: step for step in view.steps}
    state = screen.paint(remedy.state, COLOUR_OF_STATE.get(remedy.state, "bold"))
    lines = [f"remedy {remedy.id}  {remedy.key}  {state}", *_wrap("", remedy.title, screen)]
    on = f"{remedy.resource}, of {remedy.database}; autonomy {remedy.autonomy}"
    lines += [*_wrap("on", on, screen), ""]
    lines += [
        *_found(view, screen),
        *_proposed(remedy, screen),
        *_rehearsed(remedy, steps.get("rehearse"), screen),
        *_applied(remedy, steps.get("apply"), screen),
        *_verified(remedy, steps.get("verify"), screen),
        *_ended(remedy, steps.get("revert"), screen),
    ]
    if view.possible:
        lines.append("")
        lines += [
            f"next: {screen.paint(f'homeostat remedy {decision} {remedy.id}{suffix}', 'bold')}"
            for decision in view.possible
        ]
    return lines


def _found(view: RemedyView, screen: Screen) -> list[str]:
    finding = view.finding
    if finding is None:
        return _wrap("found", "the finding is no longer in the logbook", screen)
    head = f"{screen.when(finding.opened)}: {finding.severity}  {finding.what}"
    lines = [*_wrap("found", head, screen), *_wrap("", f"cause: {finding.cause}", screen)]
    if finding.cleared is not None:
        lines += _wrap("", f"cleared {screen.when(finding.cleared)}", screen)
    return lines


def _proposed(remedy: RemedyRecord, screen: Screen) -> list[str]:
    lines = _wrap("propose", f"{screen.when(remedy.proposed)}: {remedy.why}", screen)
    evidence = {k: v for k, v in remedy.evidence.items() if k not in OWN_EVIDENCE}
    if evidence:
        lines += _wrap("", f"evidence: {facts(evidence, screen)}", screen)
    if remedy.decided is not None:
        by = remedy.decided_by or "somebody"
        lines += _wrap("", f"decided by {by} {screen.when(remedy.decided)}", screen)
    return lines


def _rehearsed(remedy: RemedyRecord, step: Step | None, screen: Screen) -> list[str]:
    if step is None:
        return _wrap("rehearse", "not begun", screen)
    said = step.observation
    when = screen.when(step.intended)
    if step.state != "done":
        text = f"{when}: under way: measuring how it is before anything is changed"
        if remedy.state in FOR_A_PERSON:
            text = f"{when}: under way; the database itself is not changed"
        return _wrap("rehearse", text if remedy.ended is None else f"{when}: broke off", screen)
    reason = str(said.get("reason", ""))
    tried = said.get("ok") or remedy.state not in FOR_A_PERSON
    verdict = "passed" if said.get("ok") else "refused" if tried else "could not be tried so far"
    lines = _wrap("rehearse", f"{when}: {verdict}{': ' + reason if reason else ''}", screen)
    rest = {k: v for k, v in said.items() if k not in {"ok", "reason", "before"}}
    return lines + (_wrap("", facts(rest, screen), screen) if rest else [])


def _applied(remedy: RemedyRecord, step: Step | None, screen: Screen) -> list[str]:
    if step is None:
        return _wrap("apply", "not begun", screen)
    intent = facts(step.intent, screen)
    undo = f"; undo: {facts(step.undo, screen)}" if step.undo else ""
    when = screen.when(remedy.applied or step.intended)
    head = "" if remedy.applied is not None else "not seen in force yet, "
    lines = _wrap("apply", f"{when}: {head}{intent}{undo}", screen)
    failed = step.observation.get("reason")
    return lines + (_wrap("", str(failed), screen) if failed else [])


def _verified(remedy: RemedyRecord, step: Step | None, screen: Screen) -> list[str]:
    if step is None:
        return _wrap("verify", "not begun", screen)
    if not remedy.result.get("outcome"):
        count = step.intent.get("batches")
        what = f"{count} batches" if count else "batches"
        text = f"under way: {what} after the change are compared with {what} before"
        if step.state == "done":
            text = str(step.observation.get("reason", "broke off"))
        return _wrap("verify", f"{screen.when(step.intended)}: {text}", screen)
    result = remedy.result
    lines = _wrap("verify", f"{screen.when(step.intended)}: {result['outcome']}", screen)
    lines += [" " * INDENT + line for line in measured_lines(result)]
    return lines


def measured_lines(result: Json) -> list[str]:
    """Return what was measured before and after as a small table, with how sure it is.

    Args:
        result: a remedy's result: `before` and `after` are lists of batches of `value`, `load` and
            `mechanism`; `value_before`, `value_after` their medians; `name`, `unit` of the value.
    """
    unit = f", {result['unit']}" if result.get("unit") else ""
    rows = [("", "before", "after", "change")]
    name = str(result.get("name") or "value")
    old, new = result.get("value_before"), result.get("value_after")
    rows.append((f"{name}{unit}, median", _known(old), _known(new), _change(old, new)))
    for key, what in (("value", f"{name}{unit}, worst batch"), ("load", "load, per second")):
        sides = [_batches(result, side, key) for side in ("before", "after")]
        if all(sides):
            reduce = max if key == "value" else statistics.median
            first, second = (float(reduce(side)) for side in sides)
            rows.append((what, _known(first), _known(second), _change(first, second)))
    first_width = max(len(row[0]) for row in rows)
    lines = [
        f"{row[0].ljust(first_width)}{row[1]:>12}{row[2]:>12}{row[3]:>10}".rstrip() for row in rows
    ]
    counts = [len(_batches(result, side, "value")) for side in ("before", "after")]
    tail = f"{counts[0]} batches before, {counts[1]} after"
    if isinstance(result.get("probability"), int | float):
        tail += f"; chance of this without an effect: {_known(result['probability'])}"
    if isinstance(result.get("mechanism"), int | float):
        tail += f"; change seen at work in {result['mechanism']:.0%} of batches"
    return [*lines, *textwrap.wrap(tail, 66)]


def _ended(remedy: RemedyRecord, step: Step | None, screen: Screen) -> list[str]:
    lines = []
    if step is not None:
        undone = "done" if step.state == "done" else "under way"
        lines += _wrap("revert", f"{screen.when(step.intended)}: {undone}", screen)
    meaning = ENDINGS.get(remedy.state)
    if meaning is None:
        if remedy.verdict:
            lines += _wrap("so far", remedy.verdict, screen)
        return lines
    when = f"{screen.when(remedy.ended)}: " if remedy.ended is not None else ""
    lines += _wrap(remedy.state, f"{when}{meaning}", screen)
    if remedy.verdict:
        lines += _wrap("verdict", remedy.verdict, screen)
    return lines


def facts(given: Json, screen: Screen) -> str:
    """Return JSON as words: `limit 16, wait 404 ms, use 99%` reads better than braces.

    Empty texts say nothing and are left out.
    """
    said = [_fact(key, value, screen) for key, value in given.items() if value != ""]
    return ", ".join(said) or "none"


def _fact(key: str, value: Any, screen: Screen) -> str:
    """Return one name and value; the unit is the name's last word, as everywhere in the code."""
    words, _, unit = key.rpartition("_")
    name = key.replace("_", " ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if unit == "since":
            return f"{name} {screen.when(value)}"
        if words and unit == "share":
            return f"{words.replace('_', ' ')} {value:.0%}"
        if words and unit in UNITS:
            return f"{words.replace('_', ' ')} {number(value)} {UNITS[unit]}"
    return f"{name} {_plain(value, screen)}"


def _plain(value: Any, screen: Screen) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(_plain(one, screen) for one in value) or "none"
    if isinstance(value, dict):
        return f"({facts(value, screen)})" if value else "none"
    return str(value)


def _wrap(head: str, text: str, screen: Screen) -> list[str]:
    width = 10_000 if screen.width is None else screen.width - INDENT
    whole = Screen(width=None, colours=False, now=screen.now).fit(text)
    lines = textwrap.wrap(whole, width, break_on_hyphens=False) or [""]
    label = screen.paint(head.ljust(INDENT - 2), "bold") + "  "
    return [(label if n == 0 else " " * INDENT) + line for n, line in enumerate(lines)]


def _batches(result: Json, side: str, key: str) -> list[float]:
    found = result.get(side)
    if not isinstance(found, list):
        return []
    return [float(one[key]) for one in found if isinstance(one, dict) and key in one]


def _known(value: Any) -> str:
    return number(float(value)) if isinstance(value, int | float) else "unknown"


def _change(old: Any, new: Any) -> str:
    if not isinstance(old, int | float) or not isinstance(new, int | float) or not old:
        return ""
    return change_in_words((new - old) / old)
