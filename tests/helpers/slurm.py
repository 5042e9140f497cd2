"""A Slurm cluster of three nodes on this machine: Debian's slurm-wlm, a network namespace a node. Linux, as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.namespaces import Hosts, require_namespaces

_CONF = """
ClusterName=samebits
SlurmctldHost={first}({address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that goes back to the queue waits until its credential has expired: 120 seconds, unless this is said.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=20
SlurmdTimeout=10
ReturnToService=2
SlurmdParameters=config_overrides
{nodes}
PartitionName=work Nodes=ALL Default=YES PriorityTier=1 DefaultTime=30 MaxTime=60
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=60
"""

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")


def require_slurm() -> None:
    """Skip where this machine has no Slurm, or no namespaces."""
    missing = [name for name in _PROGRAMS if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm")
    require_namespaces()


class Slurm:
    """A cluster whose nodes are hosts `desk-a`, `desk-b`, `desk-c`, one processor each.

    Attributes:
        environment: variables that its commands need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: list[subprocess.Popen[str]] = []
        self.hosts = Hosts(3)
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        names = self.hosts.names
        nodes = [f"NodeName={name} NodeAddr={self.hosts.address(n)} CPUs=1" for n, name in enumerate(names)]
        (self._folder / "slurm.conf").write_text(
            _CONF.format(first=names[0], address=self.hosts.address(0), folder=self._folder, nodes="\n".join(nodes))
        )
        # No control groups are used; the other plugin looks for their mount, which a namespace has not.
        (self._folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        for name in ("state", "munge", *(f"spool-{each}" for each in names)):
            (self._folder / name).mkdir()
        munge = self._folder / "munge"
        munge.chmod(0o755)
        key = munge / "key-file"
        key.write_bytes(bytes(range(256)))
        key.chmod(0o600)
        places = [f"--{kind}={munge / kind}" for kind in ("socket", "key-file", "pid-file", "seed-file", "log-file")]
        munged = ["munged", "--foreground", "--force", *places]
        self._daemons.append(subprocess.Popen(munged, stderr=subprocess.DEVNULL, text=True))
        self.wait_until((munge / "socket").exists, 20)
        self._daemon(0, "slurmctld", "-D")
        for index in range(3):
            self.revive(index)
        self.wait_until(lambda: self.states() == {"idle"}, 60)

    def _daemon(self, index: int, *command: str) -> None:
        with (self._folder / f"{command[0]}-{index}.out").open("a") as log:
            self._daemons.append(self.hosts.start(index, command, self._folder, self._variables(), log))

    def _variables(self) -> dict[str, str]:
        return os.environ | self.environment

    def run(self, *command: str, folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
        """What a command prints, on the first node, which is where one logs in; it has to end with 0."""
        out = self._folder / "out"
        with out.open("w") as log:
            variables = (environment or self._variables()) | self.environment
            code = self.hosts.start(0, command, folder or self._folder, variables, log).wait(120)
        assert code == 0, out.read_text()
        return out.read_text()

    def states(self) -> set[str]:
        """States of the nodes; none while slurmctld does not answer."""
        return set(self.run("sh", "-c", "sinfo --noheader --Node --partition=work --format=%T || true").split())

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job, as `JobState`, `Restarts`."""
        shown = self.run("scontrol", "--oneliner", "show", "job", number)
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def kill_node(self, index: int) -> None:
        """End everything that runs on a node, its slurmd as well."""
        self.hosts.kill(index, signal.SIGKILL)

    def revive(self, index: int) -> None:
        self._daemon(index, "slurmd", "-D", "-N", self.hosts.names[index])

    @staticmethod
    def wait_until(true: Callable[[], bool], seconds: float, what: Callable[[], object] = str) -> None:
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, what()
            time.sleep(0.3)

    def close(self) -> None:
        self.hosts.close()
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
