"""A trainer and everything it started: finding all of it, and ending all of it."""

import os
import time

import psutil

from fer.runs.processes import GONE, MARKER, Identity, boot_id, same_boot, start_ticks


def kill_family(leader: Identity | None, token: str, own_group: bool, seconds: float = 3.0) -> list[int]:
    """SIGKILL a trainer and everything it started, until none is left; returns the ids that were killed.

    The family is the leader, its descendants, the members of its process group (when it leads one) and
    every process that carries the run's marker in its environment, wherever it moved to.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while members := family(leader, token, own_group):
        for process in members:
            try:
                process.kill()
                killed.add(process.pid)
            except psutil.Error:
                pass
        time.sleep(0.02)
        if time.monotonic() > deadline:
            break
    return sorted(killed)


def family(leader: Identity | None, token: str, own_group: bool) -> list[psutil.Process]:
    """Living processes of one attempt of a run, the caller itself excepted."""
    found: dict[int, psutil.Process] = {}
    if leader is not None and leader.alive():
        try:
            process = psutil.Process(leader.pid)
            found.update({child.pid: child for child in [process, *process.children(recursive=True)]})
        except psutil.Error:
            pass
    group = leader.pid if leader is not None and own_group and _group_is_ours(leader) else None
    for process in psutil.process_iter():
        if process.pid not in found and _belongs(process, group, token):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return [process for process in found.values() if _running(process)]


def _belongs(process: psutil.Process, group: int | None, token: str) -> bool:
    try:
        if group is not None and os.getpgid(process.pid) == group:
            return True
        return bool(token) and process.environ().get(MARKER) == token
    except (psutil.Error, OSError):
        return False


def _group_is_ours(leader: Identity) -> bool:
    """A group keeps its leader's id from reuse while it has members: a stranger there means it is empty."""
    if os.name == "nt" or not same_boot(leader.boot, boot_id()):
        return False
    return not psutil.pid_exists(leader.pid) or start_ticks(leader.pid) == leader.ticks


def _running(process: psutil.Process) -> bool:
    try:
        return process.status() not in GONE
    except psutil.Error:
        return False
