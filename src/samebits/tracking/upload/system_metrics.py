"""System metrics over time, under MLflow's own names, so that its page "System metrics" shows them.

MLflow's monitor is not used: it ends for good when the server is away once, and it reads GPUs that
`CUDA_VISIBLE_DEVICES` hides (MLflow 3.17.2).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from samebits.tracking.environment.gpu import Gpu, visible_gpus
from samebits.tracking.journal.record import ProcessId

_MB = 1e6
_FAST_S, _SLOW_S, _FAST_FOR_S = 2.0, 10.0, 60.0


class SystemSampler:
    """Reads the machine and the stages' processes every 2 s in the first minute, then every 10 s.

    Args:
        disk: any path on the disk whose use is reported.
        since: time (seconds since 1970) that counts as step 0; steps are whole seconds, so they never repeat.
    """

    def __init__(self, disk: Path, since: float, gpus: list[Gpu] | None = None) -> None:
        self._disk = disk
        self._since = since
        self._gpus = visible_gpus() if gpus is None else gpus
        self._network = psutil.net_io_counters()
        self._begun = time.monotonic()
        self._next = self._begun + _FAST_S
        self._last_step = -1
        self._seen: dict[ProcessId, psutil.Process] = {}
        psutil.cpu_percent()

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def step(self) -> int:
        """Whole seconds since `since`, more than at the call before."""
        self._last_step = max(self._last_step + 1, int(time.time() - self._since))
        return self._last_step

    def sample(self, processes: Iterable[ProcessId]) -> dict[str, float]:
        """Current readings; CPU is the mean since the sample before. Memory in MB (10^6 bytes)."""
        now = time.monotonic()
        self._next = now + (_FAST_S if now - self._begun < _FAST_FOR_S else _SLOW_S)
        memory = psutil.virtual_memory()
        found = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MB,
            "system_memory_usage_percentage": memory.percent,
        }
        found |= self._disk_use() | self._network_use() | self._process_use(processes)
        for index, gpu in enumerate(self._gpus):
            found |= {f"gpu_{index}_{key}": value for key, value in gpu.sample().items()}
        return {f"system/{key}": round(float(value), 3) for key, value in found.items()}

    def _disk_use(self) -> dict[str, float]:
        try:
            disk = psutil.disk_usage(str(self._disk))
        except OSError:
            return {}
        return {
            "disk_usage_megabytes": disk.used / _MB,
            "disk_usage_percentage": disk.percent,
            "disk_available_megabytes": disk.free / _MB,
        }

    def _network_use(self) -> dict[str, float]:
        now, before = psutil.net_io_counters(), self._network
        if now is None or before is None:
            return {}
        return {
            "network_receive_megabytes": (now.bytes_recv - before.bytes_recv) / _MB,
            "network_transmit_megabytes": (now.bytes_sent - before.bytes_sent) / _MB,
        }

    def _process_use(self, processes: Iterable[ProcessId]) -> dict[str, float]:
        """Resident memory and CPU of the stages and their children (loader workers); 100 % is one core."""
        resident, cpu, any_seen = 0.0, 0.0, False
        current: dict[ProcessId, psutil.Process] = {}
        for known in processes:
            try:
                stage = psutil.Process(known.pid)
                family = [stage, *stage.children(recursive=True)]
            except psutil.Error:
                continue
            for process in family:
                try:
                    key = ProcessId.of(process.pid)
                    current[key] = self._seen.get(key, process)
                    cpu += current[key].cpu_percent()
                    resident += process.memory_info().rss
                    any_seen = True
                except psutil.Error:
                    continue
        self._seen = current
        return {"process_memory_megabytes": resident / _MB, "process_cpu_percentage": cpu} if any_seen else {}
