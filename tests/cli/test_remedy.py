from __future__ import annotations

import click
import msgspec

from homeostat.cli.root import COMMANDS, root
from homeostat.cli.shapes import PRINTS, report_of
from tests.cli.stage import NOW, Described, Run_, remedy, step, view


def test_the_list_names_each_remedy_its_state_and_when(
    homeostat: Run_, operator: Described
) -> None:
    operator.remedies = [
        remedy(4, state="waiting", title="shrink the pool", proposed=NOW - 7200),
        remedy(3),
    ]
    head, first, second = homeostat("remedy", "list").out.splitlines()
    assert head.split()[0] == "no."
    assert first.startswith("4")
    assert "waiting" in first
    assert "2 h ago" in first
    assert "shrink the pool" in first
    assert second.startswith("3")


def test_no_remedy_yet_is_said(homeostat: Run_, operator: Described) -> None:
    operator.remedies = []
    assert homeostat("remedy", "list").out == "No remedy has been proposed yet.\n"
    assert homeostat("remedy", "list", "--json").json() == []


def test_the_story_has_five_moves_with_the_measured_numbers(
    homeostat: Run_, operator: Described
) -> None:
    out = homeostat("remedy", "show", "3").out
    moves = ["found", "propose", "rehearse", "apply", "verify", "kept", "verdict"]
    places = [out.index(f"\n{move} ") for move in moves]
    assert places == sorted(places)
    median = next(line for line in out.splitlines() if "median" in line)
    assert median.split()[-3:] == ["131", "9.8", "-93%"]
    assert "limit 16; undo: limit 8" in out
    assert "mean latency 131 -> 9.8 ms" in out
    assert "homeostat remedy revert 3" in out


def test_what_was_seen_to_be_nothing_is_not_told(homeostat: Run_, operator: Described) -> None:
    evidence = {"limit": 2, "held_while_idle_by": "", "use_share": 0.99}
    operator.view = view(remedy(evidence=evidence))
    assert "evidence: limit 2, use 99%" in homeostat("remedy", "show", "3").out


def test_a_story_that_goes_on_says_how_far_it_is(homeostat: Run_, operator: Described) -> None:
    record = remedy(state="rehearsing", applied=None, ended=None, verdict="", result={})
    steps = [step(1, "rehearse", state="intent", observed=None)]
    operator.view = view(record, steps=steps, possible=[])
    out = homeostat("remedy", "show", "3").out
    assert "under way: measuring how it is before anything is changed" in out
    assert out.count("not begun") == 2
    assert "next:" not in out


def test_a_reverted_story_says_that_and_why_it_was_undone(
    homeostat: Run_, operator: Described
) -> None:
    why = "no effect; the pool is held by pid 4711, which holds a lock"
    record = remedy(state="ineffective", verdict=why)
    operator.view = view(record, steps=[*view().steps, step(4, "revert")], possible=[])
    out = homeostat("remedy", "show", "3").out
    assert "it did not help, so it was undone" in out
    assert why in out
    assert "\nrevert " in out


def test_a_decision_reaches_the_operator_and_says_what_follows(
    homeostat: Run_, operator: Described
) -> None:
    for decision, words in (("approve", "it starts now"), ("reject", "rejected"), ("revert", "is")):
        said = homeostat("remedy", decision, "3")
        assert said.code == 0, said.err
        assert words in said.out
    asked = [name for name, _ in operator.posted]
    assert asked == ["remedies/3/approve", "remedies/3/reject", "remedies/3/revert"]


def test_a_refused_decision_says_the_operators_reason_and_fails(
    homeostat: Run_, operator: Described
) -> None:
    reason = "Remedy 3 is kept, so there is nothing to approve."
    operator.refuse = (409, {"error": reason, "kind": "DecisionRefusedError"})
    said = homeostat("remedy", "approve", "3")
    assert said.code == 1
    assert said.out == ""
    assert said.err == f"error: {reason}\n"


def test_an_unknown_remedy_is_an_error(homeostat: Run_, operator: Described) -> None:
    said = homeostat("remedy", "show", "99")
    assert said.code == 1
    assert "nothing of this number" in said.err


def test_json_of_each_command_is_the_shape_that_is_promised(
    homeostat: Run_, operator: Described
) -> None:
    words: dict[str, list[str]] = {"status": [], "remedy list": []}
    said = {}
    for command, shape in PRINTS.items():
        if not command.startswith(("status", "remedy ")):
            continue  # each has tests of its own
        printed = homeostat(*command.split(), *words.get(command, ["3"]), "--json")
        assert printed.code == 0, printed.err
        said[command] = msgspec.json.decode(printed.out, type=shape)
    assert said.pop("remedy list") == operator.remedies
    assert said.pop("status") == report_of(operator.status, [], note="")
    assert set(said) == {f"remedy {word}" for word in ("show", "approve", "reject", "revert")}
    assert all(one == operator.view for one in said.values())


def test_every_json_option_has_its_shape_promised() -> None:
    promised = set()
    for name in COMMANDS:
        command = root.get_command(click.Context(root, **root.context_settings), name)
        assert command is not None
        group = command.commands if isinstance(command, click.Group) else {"": command}
        for sub, one in group.items():
            if any("--json" in parameter.opts for parameter in one.params):
                promised.add(f"{name} {sub}".strip())
    assert promised == set(PRINTS)
