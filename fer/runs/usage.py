"""What a running run uses, measured by its supervisor: memory, processor, GPU; and signs of short memory."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from fer import storage
from fer.errors import UserError
from fer.runs.processes import Identity
from fer.runs.slots import Slot

EVERY_SECONDS = 5.0
MEMORY_EVERY_SECONDS = 0.5


class Usage:
    """Measures a trainer with its children and writes `usage.json` every five seconds.

    Attributes:
        memory: bytes in use now, all processes of the run together.
        peak: the most so far.
    """

    def __init__(self, directory: Path, trainer: Identity, place: Slot):
        self.directory = directory
        self.trainer = trainer
        self.place = place
        self.memory = 0
        self.peak = 0
        self._process = psutil.Process(trainer.pid)
        self._free = psutil.virtual_memory().available
        self._measured = self._written = 0.0

    def measure(self) -> None:
        """Look again when it is time to."""
        now = time.monotonic()
        if now - self._measured < MEMORY_EVERY_SECONDS:
            return
        self._measured = now
        try:
            family = [self._process, *self._process.children(recursive=True)]
            self.memory = sum(_resident(process) for process in family)
            self._free = psutil.virtual_memory().available
        except psutil.Error:
            return
        if not self.memory:
            return  # it is ending: what was written before says more
        self.peak = max(self.peak, self.memory)
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            self._write()

    def memory_was_short(self) -> bool:
        """At the last look the machine was nearly out of memory, and this run had much of it."""
        total = psutil.virtual_memory().total
        return self._free < 0.05 * total and self.memory > 0.3 * total

    def _write(self) -> None:
        try:
            content = {
                "time": time.time(),
                "memory_bytes": self.memory,
                "peak_memory_bytes": self.peak,
                "machine_free_bytes": self._free,
                "processor_percent": self._process.cpu_percent(),
                "processes": 1 + len(self._process.children(recursive=True)),
            }
            if self.directory.is_dir():
                storage.write_json(self.directory / "usage.json", content | _gpu(self.place))
        except (psutil.Error, UserError, OSError):
            pass  # measuring must never end a run


def oom_kills() -> int:
    """How many processes the kernel has ended for lack of memory since boot; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def memory_limit() -> int:
    """Bytes a run may use, from `FER_MEMORY_LIMIT` in megabytes; 0 for no limit."""
    try:
        return int(float(os.environ.get("FER_MEMORY_LIMIT") or 0) * 2**20)
    except ValueError:
        return 0


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _gpu(place: Slot) -> dict[str, float]:
    """Use of the slot's GPU, {} on the CPU."""
    program = shutil.which("nvidia-smi") if place.device.startswith("gpu") else None
    if program is None:
        return {}
    command = [
        program,
        "--query-gpu=utilization.gpu,memory.used,memory.total",
        "--format=csv,noheader,nounits",
    ]
    try:
        output = subprocess.run(
            [*command, f"--id={place.visible}"], capture_output=True, text=True, timeout=5, check=True
        )
        percent, used, total = (float(part) for part in output.stdout.split(","))
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {"gpu_percent": percent, "gpu_memory_bytes": used * 2**20, "gpu_memory_total_bytes": total * 2**20}
