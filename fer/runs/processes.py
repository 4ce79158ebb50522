"""Processes: who is who after a crash, how to start one that outlives us, how to end a whole family.

A pid alone proves nothing: ids are reused, a zombie still answers, a reboot starts again at 1. An
`Identity` adds the start time and the boot, and a dead, zombie or reused process is simply not it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from fer import storage

GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
MARKER = "FER_RUN_TOKEN"
"""Environment variable that marks every process of one attempt of a run, whatever group it moved to."""


@dataclass(frozen=True)
class Identity:
    """One process, recognisable for ever.

    Attributes:
        pid: process id.
        started: seconds since 1970 at which it started, as psutil tells it.
        ticks: clock ticks since boot at which it started (Linux; unlike `started` it does not move
            when the clock is set), else 0.
        boot: which boot of which machine.
    """

    pid: int
    started: float
    ticks: int
    boot: str

    def alive(self) -> bool:
        """Is this very process there now, and not a zombie?"""
        if not same_boot(self.boot, boot_id()):
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() in GONE:
                return False
            ticks = start_ticks(self.pid)
            if self.ticks and ticks:
                return ticks == self.ticks
            return abs(process.create_time() - self.started) < 1.0
        except (psutil.Error, OSError):
            return False

    def halted(self) -> bool:
        """Is it there, but stopped by a signal (SIGSTOP)?"""
        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> "Identity | None":
        """The identity in `content`; None when it is missing or was tampered with."""
        try:
            return cls(
                int(content["pid"]), float(content["started"]), int(content["ticks"]), str(content["boot"])
            )
        except (TypeError, KeyError, ValueError):
            return None


def identity(pid: int | None = None) -> Identity:
    """The identity of a running process, of this one by default."""
    pid = pid or os.getpid()
    return Identity(pid, psutil.Process(pid).create_time(), start_ticks(pid), boot_id())


@cache
def boot_id() -> str:
    """What changes with every start of the machine: the kernel's id, or when it was started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def same_boot(one: str, other: str) -> bool:
    """Equal ids, or start times so close that only the clock was set in between."""
    try:
        return abs(float(one) - float(other)) < 20
    except ValueError:
        return one == other


def host() -> str:
    return socket.gethostname()


def spawn_detached(
    module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` so that Ctrl-C, a closed terminal or our end do not reach it.

    Args:
        log: an existing folder's file; standard output and error are appended to it.
        environment: variables to set.
    """
    variables = {**os.environ, "FER_CACHE": str(storage.cache_directory()), "PYTHONUNBUFFERED": "1"}
    variables.pop(MARKER, None)  # what a run starts for others is not part of it
    variables["PYTHONPATH"] = os.pathsep.join(
        [str(storage.PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    variables.update(environment or {})
    command = [sys.executable, "-m", module, *arguments]
    with open(log, "ab") as output:
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        options |= {"cwd": storage.PROJECT, "env": variables}
        try:
            return subprocess.Popen(command, **options, **_detached())
        except PermissionError:
            if os.name != "nt":
                raise
            return subprocess.Popen(command, **options, **_detached(breakaway=False))


AUTOGROUP = Path("/proc/self/autogroup")


def lower_priority() -> None:
    """Give way to the dashboard and the desktop (nice 10).

    Linux may share the processor among sessions first ("autogroups", sched(7)), and among the processes
    of a session by their nice values after that. A trainer has a session of its own, so there its nice
    value alone does nothing: the session is given the same.
    """
    try:
        if os.name == "nt":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
            return
        os.nice(max(0, 10 - os.nice(0)))
        if AUTOGROUP.exists():
            AUTOGROUP.write_text("10", encoding="ascii")
    except (OSError, psutil.Error):
        pass  # a machine that refuses trains at normal priority


def end_with_parent() -> None:
    """Get SIGTERM when the process that started this one ends, however it ends (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def ask_to_end(leader: Identity) -> None:
    """SIGTERM to the leader alone: its helpers must live until it has saved.

    Windows has no such signal; there the `stop` file of the run does it.
    """
    if os.name != "nt" and leader.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader.pid, signal.SIGTERM)


def start_ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])  # field 22; the name before may hold spaces
    except (OSError, ValueError, IndexError):
        return 0


def _detached(breakaway: bool = True) -> dict[str, Any]:
    """Options of `Popen`; some Windows consoles forbid to break away from them."""
    if os.name != "nt":
        return {"start_new_session": True}
    flags = ["DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"]
    flags += ["CREATE_BREAKAWAY_FROM_JOB"] if breakaway else []
    return {"creationflags": sum(getattr(subprocess, flag, 0) for flag in flags)}
