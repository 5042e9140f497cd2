"""Where processes meet: the store, machines that join, the interface."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from samebits.base.errors import UserError
from samebits.compute import rendezvous
from samebits.compute.rendezvous import Joined, await_hosts, interface_to, join, listen
from tests.helpers.ports import free_port

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="interfaces are asked for as on Linux")


@pytest.fixture(autouse=True)
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    found = free_port()
    monkeypatch.setenv("SAMEBITS_PORT", str(found))
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    return found


def test_a_machine_joins_and_a_third_one_is_refused(port: int) -> None:
    said: list[str] = []
    store = listen(2)
    waiting = threading.Thread(target=await_hosts, args=(store, 2, 3, said.append))
    waiting.start()
    assert join("127.0.0.1", port, 5, said.append) == Joined(1, 2, 3)
    waiting.join()
    host = socket.gethostname()
    assert said == [f"waiting for 1 machine to join: samebits worker --join {host}:{port}", f"joined: {host}"]
    with pytest.raises(UserError, match=f"127.0.0.1:{port} has all its 2 machines"):
        join("127.0.0.1", port, 5, said.append)


def test_a_machine_waits_for_the_first_one(port: int) -> None:
    said: list[str] = []
    found: list[Joined] = []
    waiting = threading.Thread(target=lambda: found.append(join("127.0.0.1", port, 20, said.append)))
    waiting.start()
    while not said:
        time.sleep(0.01)
    store = listen(2)
    await_hosts(store, 2, 1, said.append)
    waiting.join()
    assert found == [Joined(1, 2, 1)]
    assert said[0] == f"waiting for 127.0.0.1:{port}"


def test_nobody_listens_or_nobody_joins(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"127.0.0.1:{port} did not answer within 0 s") as error:
        join("127.0.0.1", port, 0, print)
    assert "runtime.hosts" in error.value.fix
    monkeypatch.setattr(rendezvous, "JOIN_SECONDS", 0.0)
    with pytest.raises(UserError, match="0 of 2 machines joined within 0 s: none"):
        await_hosts(listen(3), 3, 1, print)


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with socket.create_server(("", port)), pytest.raises(UserError, match=f"port {port}.*in use") as error:
        listen(2)
    assert "SAMEBITS_PORT" in error.value.fix


def test_a_training_of_one_machine_listens_on_it_alone() -> None:
    store = listen(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own_address(), store.port), timeout=1.0)


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address")
        found: str = probe.getsockname()[0]
    return found


@on_linux
def test_the_interface_is_the_one_that_leads_there() -> None:
    assert interface_to("127.0.0.1") == "lo"
    assert interface_to("no-such-host.invalid") is None
    assert interface_to(own_address()) in {name for _, name in socket.if_nameindex()}
