"""Personality types: stacks come from the letters, segments from the declared type."""

from __future__ import annotations

import pytest

from homeostat.sample.schema import SEGMENTS, TYPES, scores_of, segment_of, stack_of

STACKS = {
    "INTJ": "ni te fi se",
    "INTP": "ti ne si fe",
    "ENTJ": "te ni se fi",
    "ENTP": "ne ti fe si",
    "INFJ": "ni fe ti se",
    "ENFP": "ne fi te si",
    "ISTJ": "si te fi ne",
    "ESFJ": "fe si ne ti",
    "ISFP": "fi se ni te",
    "ESTP": "se ti fe ni",
}


@pytest.mark.parametrize("personality_type", STACKS)
def test_stack_follows_from_the_letters(personality_type: str) -> None:
    assert " ".join(stack_of(personality_type)) == STACKS[personality_type]


def test_sixteen_types_in_four_groups() -> None:
    assert len(set(TYPES)) == 16
    groups = [segment_of(one) for one in TYPES]
    assert {group: groups.count(group) for group in SEGMENTS[:-1]} == dict.fromkeys(
        ("analysts", "diplomats", "sentinels", "explorers"), 4
    )
    assert segment_of("INTJ") == "analysts"
    assert segment_of("ISTJ") == "sentinels"
    assert segment_of(None) == "undeclared"


def test_dominant_function_scores_highest() -> None:
    scores = scores_of("INTJ")
    assert max(scores, key=lambda one: scores[one]) == "ni"
    assert scores["ni"] > scores["te"] > scores["fi"] > scores["se"] > scores["ne"]
