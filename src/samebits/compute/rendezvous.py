"""Where the processes of a training meet: the key-value store of rank 0 or of torchrun's agent, and their interface.

The store listens on this machine alone, unless other machines are to join (`runtime.hosts`).
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from samebits.base.errors import UserError, listed
from samebits.compute.heartbeat import START

PORT = 29650
"""Of the first machine, where the others join; `SAMEBITS_PORT` names another one."""

JOIN_SECONDS = 600.0
"""How long the first machine waits for the others."""

LOOPBACK = "127.0.0.1"
_INTERFACE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915
# Waiting is bounded by the heartbeat, not by the store.
_PATIENCE = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Joined:
    """What a machine that joins is told: its number from 1 on, machines, and processes of each."""

    number: int
    hosts: int
    processes: int


def launched_store(rank: int) -> Store:
    """The store of a training whose processes a launcher started; rank 0 makes it, unless torchrun has.

    Raises:
        UserError: if it cannot be reached.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    agents = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        store = TCPStore(
            address,
            port,
            is_master=rank == 0 and not agents,
            wait_for_workers=False,
            timeout=datetime.timedelta(seconds=START),
        )
    except RuntimeError as error:
        raise UserError(
            f"process {rank} on host {socket.gethostname()} does not reach the store of the training at "
            f"{address}:{port}: {str(error).splitlines()[0]}",
            "look whether the first process runs there, and whether a firewall lets that port and others through",
        ) from None
    set_interface(address)
    store.set_timeout(_PATIENCE)
    # Each attempt of torchrun meets in the same store.
    return PrefixStore(f"samebits/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def listen(hosts: int) -> TCPStore:
    """A store in this process: for processes of this machine alone, or at `PORT` for other machines, too.

    Raises:
        UserError: if the port is taken.
    """
    port = int(os.environ.get("SAMEBITS_PORT", PORT)) if hosts > 1 else 0
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("" if hosts > 1 else LOOPBACK, port))
    except OSError as error:
        door.close()
        raise UserError(
            f"port {port}, where other machines join, cannot be used: {error.strerror}",
            "end what uses it, or name another one: SAMEBITS_PORT=29651 here, --join HOST:29651 there",
        ) from None
    port = door.getsockname()[1]
    store = TCPStore(
        LOOPBACK, port, is_master=True, wait_for_workers=False, timeout=_PATIENCE, master_listen_fd=door.detach()
    )
    if hosts == 1:
        set_interface(LOOPBACK)
    return store


def await_hosts(store: TCPStore, hosts: int, processes: int, say: Callable[[str], None]) -> None:
    """Wait until all machines have joined.

    Raises:
        UserError: if they have not within `JOIN_SECONDS`.
    """
    store.set("plan", json.dumps({"hosts": hosts, "processes": processes}))
    wanted = hosts - 1
    say(
        f"waiting for {wanted} machine{'s' * (wanted > 1)} to join: "
        f"samebits worker --join {socket.gethostname()}:{store.port}"
    )
    until = time.monotonic() + JOIN_SECONDS
    while not store.check([f"joined/{number}" for number in range(1, hosts)]):
        if time.monotonic() > until:
            names = [_joined(store, each)["host"] for each in range(1, hosts) if store.check([f"joined/{each}"])]
            raise UserError(
                f"{len(names)} of {wanted} machines joined within {JOIN_SECONDS:.0f} s: {listed(names) or 'none'}",
                "run samebits worker --join there, or set runtime.hosts to as many as there are",
            )
        time.sleep(0.1)
    others = [_joined(store, number) for number in range(1, hosts)]
    say(f"joined: {listed([each['host'] for each in others])}")
    set_interface(others[0]["address"])


def _joined(store: TCPStore, number: int) -> dict[str, str]:
    found: dict[str, str] = json.loads(store.get(f"joined/{number}"))
    return found


def join(address: str, port: int, wait: float, say: Callable[[str], None]) -> Joined:
    """Join the training of the machine at `address`, once it listens.

    Raises:
        UserError: if it does not within `wait` seconds, or has all its machines.
    """
    until, said = time.monotonic() + wait, False
    while True:
        try:
            with socket.create_connection((address, port), timeout=5.0) as tried:
                own = tried.getpeername()[0]
            break
        except OSError as error:
            if time.monotonic() > until:
                raise UserError(
                    f"{address}:{port} did not answer within {wait:.0f} s: {error.strerror or error}",
                    "run dvc repro there with runtime.hosts: 2 or more; a firewall has to let this port and others "
                    "through",
                ) from None
            if not said:
                say(f"waiting for {address}:{port}")
            said = True
            time.sleep(0.5)
    store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=datetime.timedelta(seconds=START))
    plan = json.loads(store.get("plan"))
    number = store.add("machines", 1)
    if number >= plan["hosts"]:
        raise UserError(
            f"the training at {address}:{port} has all its {plan['hosts']} machines", "set runtime.hosts there"
        )
    store.set(f"joined/{number}", json.dumps({"host": socket.gethostname(), "address": own}))
    store.check(["plan"])  # an answer: what was set has arrived
    return Joined(number, plan["hosts"], plan["processes"])


def set_interface(address: str) -> None:
    """Let gloo listen on the interface that leads to `address`: the name of this machine may lead elsewhere."""
    if _INTERFACE not in os.environ and (name := interface_to(address)):
        os.environ[_INTERFACE] = name


def interface_to(address: str) -> str | None:
    """The network interface of this machine from which an address is reached; None if that cannot be told."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # nothing is sent
            own = probe.getsockname()[0]
    except OSError:
        return None
    if own.startswith("127."):
        return "lo0" if sys.platform == "darwin" else "lo"
    if sys.platform != "linux":
        return None
    return next((name for _, name in socket.if_nameindex() if _address_of(name) == own), None)


def _address_of(interface: str) -> str | None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return None  # it has none
    return socket.inet_ntoa(answer[20:24])
