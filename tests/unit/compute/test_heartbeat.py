"""Who is lost, who is merely slow, and what the others are told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from samebits.base.errors import Interrupted, UserError
from samebits.compute import distributed, heartbeat
from samebits.compute.heartbeat import GroupError, Heartbeat, Lost
from samebits.compute.rendezvous import listen

HOST = socket.gethostname()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times a thirtieth."""
    for name, seconds in (("SILENCE", 0.6), ("START", 0.8), ("_BEAT", 0.03), ("_AWAY", 0.3), ("_AFTER_BREAK", 0.15)):
        monkeypatch.setattr(heartbeat, name, seconds)
    monkeypatch.setattr(distributed, "note_hanging", lambda _: None)  # this process goes on


@pytest.fixture
def pair() -> Iterator[tuple[Heartbeat, Heartbeat]]:
    store = listen(1)
    both = Heartbeat(store, 0, 2), Heartbeat(store, 1, 2)
    await_each_other(*both)
    yield both
    for each in both:
        each.stop()


def await_each_other(*all_of_them: Heartbeat) -> None:
    while not all(each._heard for each in all_of_them):
        time.sleep(0.01)


def lost(beat: Heartbeat, seconds: float = 5.0) -> Lost:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            beat.check()
        except Lost as found:
            return found
        time.sleep(0.01)
    raise AssertionError("nobody is missed")


def test_those_who_are_there_are_not_missed(pair: tuple[Heartbeat, Heartbeat]) -> None:
    time.sleep(1.0)
    for each in pair:
        each.check()
    assert pair[0].named(1) == f"process 1 of 2 on host {HOST}"


def test_a_silent_process_is_named(pair: tuple[Heartbeat, Heartbeat]) -> None:
    pair[1].stop()
    assert lost(pair[0]).problem.startswith(f"process 1 of 2 on host {HOST} is lost: nothing was heard for")


def test_the_first_process_is_named_where_it_is_silent(pair: tuple[Heartbeat, Heartbeat]) -> None:
    """Its store may live on: it is torchrun's agent's."""
    pair[0].stop()
    pair[1]._answered = time.monotonic() - 1.0
    assert lost(pair[1]).problem.startswith(f"process 0 of 2 on host {HOST} is lost: it has not answered for")


def test_after_a_broken_connection_the_silent_one_is_named_at_once(
    pair: tuple[Heartbeat, Heartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "SILENCE", 20.0)
    pair[1].stop()
    began = time.monotonic()
    found = pair[0].explain(RuntimeError("Connection closed by peer"))
    assert "process 1 of 2" in found.problem
    assert time.monotonic() - began < 5.0


def test_an_exchange_that_fails_while_all_are_there_says_why(pair: tuple[Heartbeat, Heartbeat]) -> None:
    found = pair[0].explain(RuntimeError("shapes differ\nstack"))
    assert found.problem == f"process 0 of 2 on host {HOST} lost the connection to another one: shapes differ"


def test_a_process_that_never_joins_is_named() -> None:
    store = listen(1)
    alone = Heartbeat(store, 0, 2)
    assert "process 1 of 2 did not join within" in lost(alone).problem
    alone.stop()


def test_who_was_suspended_does_not_take_the_others_for_silent(pair: tuple[Heartbeat, Heartbeat]) -> None:
    first = pair[0]
    first.stop()
    now = time.monotonic()
    first._beat_at, first._heard[1] = now - 100, now - 100
    first._beat()
    first.check()


def test_a_child_that_has_ended_is_named() -> None:
    store = listen(1)
    first, other = Heartbeat(store, 0, 2, lambda: "process 1 of 2 ended with exit code -9"), Heartbeat(store, 1, 2)
    assert lost(first).problem == lost(other).problem == "process 1 of 2 ended with exit code -9"
    for each in (first, other):
        each.stop()


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("the disk is full", "free some space"), "the disk is full"),
        (ZeroDivisionError("division by zero\nmore"), "ZeroDivisionError: division by zero"),
        (Interrupted("stopped by SIGTERM"), "it was stopped"),
    ],
)
def test_a_process_that_fails_tells_the_others(
    failing: int, error: BaseException, said: str, pair: tuple[Heartbeat, Heartbeat]
) -> None:
    with (
        pytest.raises(GroupError if isinstance(error, UserError) else type(error)) as raised,
        distributed._told(pair[failing]),
    ):
        raise error
    found = lost(pair[1 - failing])
    assert found.problem == f"process {failing} of 2 on host {HOST}: {said}"
    if isinstance(error, UserError):
        assert (found.problem, found.fix) == (raised.value.problem, "free some space")


def test_who_hears_of_a_reason_passes_it_on_as_it_is(pair: tuple[Heartbeat, Heartbeat]) -> None:
    pair[1].tell("process 1 of 2 is tired", "let it sleep")
    with pytest.raises(Lost, match="process 1 of 2 is tired") as raised, distributed._told(pair[0]):
        raise lost(pair[0])
    assert raised.value.fix == "let it sleep"
