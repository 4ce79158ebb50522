"""Everything a training needs to go on as if it had never stopped, in two buffers.

`last/0.npz` and `last/1.npz` are written in turn, each replaced atomically, so one of them is always
whole; NumPy's archive carries a checksum per array, and a buffer that fails it is passed over.
"""

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer.storage import replacing
from fer.training.schedules import Plateau, Watch

FORMAT = 1


@dataclass
class State:
    """Where a training is.

    Attributes:
        phase: index of the current phase. phase_epoch: its completed epochs.
        epoch: completed epochs of the run. step: completed steps of the epoch under way.
        totals: sums over those steps: loss, correct, images, seconds.
        rows: the history, one dictionary per completed epoch.
        best: the figure of `checkpoint_monitor` so far; best_epoch: when (1 is the first).
        stopping, plateau: of the phase under way.
        from_best: the phase under way starts from the best weights, and `network` has them already. False
            in states of earlier versions, which loaded them again.
        hard: indices of the phase's hard samples, None for other phases.
        finished: every phase is done.
        seconds: training time so far, over all sittings.
        network, optimizer: values of the variables, in Keras's order; optimizer empty between phases.
    """

    phase: int = 0
    phase_epoch: int = 0
    epoch: int = 0
    step: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    best: Watch = field(default_factory=Watch)
    best_epoch: int = 0
    stopping: Watch = field(default_factory=Watch)
    plateau: Plateau = field(default_factory=lambda: Plateau(Watch()))
    from_best: bool = False
    hard: np.ndarray | None = None
    finished: bool = False
    seconds: float = 0.0
    network: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    sequence: int = 0


_ARRAYS = ("hard", "network", "optimizer")


def save_state(state: State, directory: Path) -> None:
    """Write `state` over the older buffer of `directory` and flush it to the disk.

    A finished state is small and needs no second buffer: the other one is removed.
    """
    state.sequence += 1
    content = {name: value for name, value in vars(state).items() if name not in _ARRAYS}
    for name in ("best", "stopping", "plateau"):
        content[name] = asdict(content[name])
    text = json.dumps({"format": FORMAT, **content}).encode("utf-8")
    arrays = {"state": np.frombuffer(text, dtype=np.uint8)}
    arrays |= {f"network{n:05d}": value for n, value in enumerate(state.network)}
    arrays |= {f"optimizer{n:05d}": value for n, value in enumerate(state.optimizer)}
    if state.hard is not None:
        arrays["hard"] = state.hard
    with replacing(directory / f"{state.sequence % 2}.npz") as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes the names for flags
    if state.finished:
        (directory / f"{(state.sequence + 1) % 2}.npz").unlink(missing_ok=True)


def load_state(directory: Path) -> State | None:
    """The newest undamaged state in `directory`; None if there is none."""
    found = [state for state in (_read(directory / f"{n}.npz") for n in (0, 1)) if state is not None]
    return max(found, key=lambda state: state.sequence, default=None)


def _read(path: Path) -> State | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        content = json.loads(arrays["state"].tobytes().decode("utf-8"))
        if content.pop("format") != FORMAT:
            return None
        state = State(**content)
        state.best, state.stopping = Watch(**content["best"]), Watch(**content["stopping"])
        plateau = content["plateau"]
        state.plateau = Plateau(Watch(**plateau["watch"]), plateau["scale"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    state.network = [arrays[name] for name in sorted(arrays) if name.startswith("network")]
    state.optimizer = [arrays[name] for name in sorted(arrays) if name.startswith("optimizer")]
    state.hard = arrays.get("hard")
    return state
