"""Draw many faces on two cores: the second half in a process of its own, because drawing holds the GIL.

The other process is this module run as a program: a JSON request on standard input; on standard output one
line of JSON (the factors) and then the pixels. It is a plain child, not `multiprocessing`, which would run
the caller's main script again. Should it fail, its half is drawn here: same pixels, only later.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fer.data.demo.faces import draw_face
from fer.storage import PROJECT

_WORTH_A_PROCESS = 400  # faces; starting one takes as long as drawing about a hundred
Factors = list[dict[str, Any]]


def draw_many(
    labels: list[int], seeds: list[int], seed: int, identities: int, progress: Callable[[int], None]
) -> tuple[np.ndarray, Factors]:
    """Draw face n with `labels[n]` from the seed (seed, seeds[n]).

    `progress` is called with the number of faces drawn. Returns (N, 48, 48) uint8 and their factors.
    """
    count = len(labels)
    if count < _WORTH_A_PROCESS or (os.cpu_count() or 1) < 2:
        return _draw(labels, seeds, seed, identities, progress)
    half = count // 2
    request = {"labels": labels[half:], "seeds": seeds[half:], "seed": seed, "identities": identities}
    with _start(request) as helper:
        try:
            mine = _draw(labels[:half], seeds[:half], seed, identities, lambda drawn: progress(2 * drawn))
            answer, _ = helper.communicate()
        finally:
            helper.kill()
    try:
        theirs = _decode(answer, count - half)
    except ValueError:
        theirs = _draw(labels[half:], seeds[half:], seed, identities, lambda drawn: progress(half + drawn))
    return np.concatenate([mine[0], theirs[0]]), mine[1] + theirs[1]


def _draw(
    labels: list[int], seeds: list[int], seed: int, identities: int, progress: Callable[[int], None]
) -> tuple[np.ndarray, Factors]:
    images = np.empty((len(labels), 48, 48), dtype=np.uint8)
    factors: Factors = []
    for position, (label, own) in enumerate(zip(labels, seeds, strict=True)):
        images[position], record = draw_face(label, (seed, own), identities)
        factors.append(record)
        if position % 25 == 0:
            progress(position)
    return images, factors


def _start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fer.data.demo.parallel"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        pass  # it died at once; what it leaves on its output will not decode
    return process


def _decode(answer: bytes, count: int) -> tuple[np.ndarray, Factors]:
    """The helper's half; `ValueError` if it is not whole."""
    head, _, pixels = answer.partition(b"\n")
    factors = json.loads(head)
    if len(factors) != count:
        raise ValueError(f"{len(factors)} faces of {count}")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(count, 48, 48), factors


def main() -> None:
    """Draw what the request on standard input asks for."""
    request = json.loads(sys.stdin.buffer.readline())
    images, factors = _draw(**request, progress=lambda drawn: None)
    sys.stdout.buffer.write(json.dumps(factors).encode() + b"\n" + images.tobytes())


if __name__ == "__main__":
    main()
