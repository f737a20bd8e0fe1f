"""Numbers read well at night, and what is unknown is never shown as zero."""

from __future__ import annotations

import pytest

from homeostat.web.words import action, duration, facts, label, milliseconds, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0, "0.0 ms"),
        (0.0004, "0 \u00b5s"),
        (0.04, "40 \u00b5s"),
        (4.13, "4.1 ms"),
        (49.6, "50 ms"),
        (999.4, "999 ms"),
        (1420.0, "1.4 s"),
        (64_000.0, "64 s"),
    ],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0, "0"), (412.6, "413"), (4.126, "4.13"), (1234567.0, "1,234,567")],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_percent_duration_and_labels() -> None:
    assert [percent(x) for x in (None, 0.973, 0.004, 1.0)] == ["unknown", "97 %", "0.4 %", "100 %"]
    assert [duration(x) for x in (None, 0, 61, 90_061)] == [
        "unknown",
        "0 s",
        "1 min 1 s",
        "1 d 1 h",
    ]
    assert [label(x) for x in ("use_share", "wait_ms", "held_while_idle_by")] == [
        "Use",
        "Wait",
        "Held while idle by",
    ]


def test_evidence_becomes_lines_with_units() -> None:
    lines = facts(
        {
            "use_share": 0.973,
            "wait_ms": 142.4,
            "cpu_share": None,
            "holders": {"report.monthly": 6.1},
            "plan": "a\nb",
            "since": 1_700_000_000.0,
            "sessions": [{"pid": 7, "wait_ms": 3.0}],
            "undo": {"values": {}},
        }
    )
    assert [(fact.name, fact.value, fact.kind) for fact in lines] == [
        ("Use", "97 %", "text"),
        ("Wait", "142 ms", "text"),
        ("CPU", "unknown", "text"),
        ("Holders", "report.monthly: 6.1", "text"),
        ("Plan", "a\nb", "long"),
        ("Since", "2023-11-14 22:13:20 UTC", "time"),
        ("Sessions", "pid 7, wait_ms 3.0 ms", "text"),
    ]


def test_endless_evidence_is_cut_and_says_so() -> None:
    lines = facts({f"number_{i}": i for i in range(100)})
    assert lines[-1].value == "60 more lines, see the API"
    assert "and 88 more" in facts({"pids": list(range(100))})[0].value


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("propose", "Proposed"),
        ("propose (observe)", "Proposed, only observes"),
        ("apply: verifying", "Applied: measuring"),
        ("verify: kept", "Measured: kept"),
        ("revert: ineffective", "Undone, did not help"),
        ("autonomy: auto", "Set to: acts by itself"),
        ("something new", "Something new"),
    ],
)
def test_audit_entries_are_words(entry: str, text: str) -> None:
    assert action(entry) == text
