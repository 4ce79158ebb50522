"""Where a run can run: one slot per GPU, one for training on the CPU, one for small jobs.

Small jobs (everything that is not `train`: an evaluation, a denoising, an embedding) take a GPU only
when one is free at that moment, and otherwise their own slot on the CPU, so that none waits hours behind a
training. No TensorFlow here: `nvidia-smi` tells which GPUs the driver has.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import lru_cache

from fer.errors import UserError

SMALL = "small"
CPU = "cpu"
ALL = "all"
DEVICES_HELP = "'auto', 'cpu' or 'gpu:0', 'gpu:1', …"


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Attributes:
        name: `cpu`, `small`, `gpu:0`, …; the lock is `slot-<name>`.
        device: what the run sees: `cpu` or `gpu:N`.
        title: for people, such as "GPU 0 (NVIDIA H200)".
        visible: the value of CUDA_VISIBLE_DEVICES for its runs.
    """

    name: str
    device: str
    title: str
    visible: str = "-1"

    @property
    def lock(self) -> str:
        return f"slot-{self.name}"


CPU_SLOT = Slot(CPU, "cpu", "the CPU")
SMALL_SLOT = Slot(SMALL, "cpu", "the CPU's place for small jobs")


def gpus() -> list[Slot]:
    """One slot per NVIDIA GPU that the driver shows and CUDA_VISIBLE_DEVICES of this process allows."""
    if pretended := _fake_gpus():
        return pretended
    listed = _nvidia_smi()
    allowed = _allowed()
    if allowed == ALL:
        return listed
    wanted = [entry.strip() for entry in allowed.split(",") if entry.strip()]
    return [slot for slot in listed if slot.visible in wanted or slot.name.removeprefix("gpu:") in wanted]


def slots() -> list[Slot]:
    """Every slot of this machine, GPUs first."""
    return [*gpus(), CPU_SLOT, SMALL_SLOT]


def slot(name: str) -> Slot:
    """The slot of that name.

    Raises:
        UserError: this machine has none of that name.
    """
    for candidate in slots():
        if candidate.name == name:
            return candidate
    raise missing_gpu(name)


def candidates(kind: str, device: str) -> list[Slot]:
    """The slots a run may take, the preferred first.

    Args:
        kind: job kind, `train` or a small one.
        device: `auto`, `cpu` or `gpu:N`.

    Raises:
        UserError: the GPU asked for is not there, or the device is none of these.
    """
    device = (device or "auto").lower()
    on_cpu = CPU_SLOT if kind == "train" else SMALL_SLOT
    if device == "cpu":
        return [on_cpu]
    if device == "auto":
        found = gpus()
        return [*found, on_cpu] if kind != "train" else found or [on_cpu]
    if device == "gpu":
        device = "gpu:0"
    if not device.startswith("gpu:"):
        raise UserError(f"The device {device[:40]!r} is not known. Choose {DEVICES_HELP}.")
    return [slot(device)]


def environment(place: Slot) -> dict[str, str]:
    """Variables for a worker in this slot: it sees that GPU alone, as its first, or none."""
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # so that numbers here and in nvidia-smi mean the same GPU
        "CUDA_VISIBLE_DEVICES": place.visible,
        "FER_DEVICE": place.device,
        "FER_VISIBLE_GPUS": _allowed(),  # what a queue started from here may use
    }


def missing_gpu(name: str) -> UserError:
    names = ", ".join(f"{place.name} ({place.title})" for place in gpus()) or "no NVIDIA GPU"
    return UserError(
        f"The device {name!r} is not on this computer, which has {names}. Choose 'auto' or 'cpu'."
    )


def _allowed() -> str:
    return os.environ.get("FER_VISIBLE_GPUS") or os.environ.get("CUDA_VISIBLE_DEVICES", ALL)


def _fake_gpus() -> list[Slot]:
    """`FER_FAKE_GPUS=2`: slots without GPUs behind them, to test the queue where there are none."""
    count = int(os.environ.get("FER_FAKE_GPUS") or 0)
    return [Slot(f"gpu:{n}", f"gpu:{n}", f"GPU {n} (pretended)", str(n)) for n in range(count)]


def _nvidia_smi() -> list[Slot]:
    return list(_query_nvidia_smi(int(time.monotonic() // 60)))


@lru_cache(maxsize=1)
def _query_nvidia_smi(minute: int) -> tuple[Slot, ...]:
    """Asked once a minute: a GPU can come and go."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[part.strip() for part in line.split(",", 2)] for line in output.splitlines() if line.strip()]
    return tuple(
        Slot(f"gpu:{row[0]}", f"gpu:{row[0]}", f"GPU {row[0]} ({row[2]})", row[1])
        for row in rows
        if len(row) == 3
    )
