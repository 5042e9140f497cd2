"""What an audit says: how sure it makes, and what differs."""

from __future__ import annotations

from itertools import combinations

import pytest

from samebits.provenance.audit.report import Audit, detection


@pytest.mark.parametrize(("segments", "checked", "forged"), [(6, 2, 1), (6, 3, 2), (7, 5, 3), (5, 5, 1), (4, 1, 4)])
def test_detection_is_the_share_of_choices_that_hold_a_forged_segment(segments: int, checked: int, forged: int) -> None:
    choices = list(combinations(range(segments), checked))
    caught = [choice for choice in choices if any(place < forged for place in choice)]
    assert detection(segments, checked, forged) == pytest.approx(len(caught) / len(choices))


def test_a_random_choice_says_what_it_would_have_found() -> None:
    text = Audit(100, [(0, 10), (50, 60)], drawn=True).text()
    assert "steps 0 to 10         same" in text
    assert "2 of 100 segments were computed again" in text
    assert "1 forged (1.0%): 2.0%" in text
    assert "50 forged (50.0%): 75.3%" in text


def test_the_same_bits_in_another_environment_are_worth_a_line() -> None:
    text = Audit(3, [(0, 10)], drawn=True, facts={"cpu": ("a", "b"), "libc": ("1", "2")}).text()
    assert "though the environment is another than the training's: cpu, libc" in text
    assert "though" not in Audit(3, [(0, 10)], drawn=True, facts={}).text()


def test_named_segments_and_all_of_them_need_no_probability() -> None:
    assert "named, not drawn by chance" in Audit(3, [(0, 10)], drawn=False).text()
    whole = Audit(2, [(0, 10), (10, 20)], drawn=True).text()
    assert "no segment was left out" in whole
    assert "probability" not in whole


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (None, "is not on record here"),
        ({}, "every recorded fact of the environment is the same here: what differs was not computed by this code"),
        ({"cpu": ("a", "b")}, "cpu: a -> b"),
    ],
)
def test_a_difference_is_named_with_what_may_explain_it(facts: dict[str, tuple[str, str]] | None, said: str) -> None:
    found = Audit(2, [(0, 10)], drawn=True, different={"steps 0 to 10": ["tensor x differs"]}, facts=facts)
    assert not found.same
    assert "steps 0 to 10         different" in found.text()
    assert "  tensor x differs" in found.text()
    assert said in found.text()
    assert "probability" not in found.text()
