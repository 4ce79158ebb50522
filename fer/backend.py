"""The one place that knows which library computes: devices, precision, determinism, compilation.

Importing this module imports none of them. `devices` lists the hardware without TensorFlow (NVIDIA's own
tool answers in 50 ms; TensorFlow costs a page 600 MB and seconds); the rest is for the trainer's process.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer.training.errors import DeviceError

NVIDIA_FOLDER = Path("/proc/driver/nvidia/gpus")
CPU_FLAGS = ("avx512_bf16", "amx_bf16")
BFLOAT16_CAPABILITY = (8, 0)  # Ampere

_deterministic = False  # whether this process was made deterministic


@dataclass(frozen=True)
class Device:
    """A device a run can ask for.

    name: `cpu`, `gpu:0`, …, as `TrainConfig.device` takes it. title: for people. memory: bytes, 0 if
    unknown. problem: why a training would fail on it, as far as can be seen without trying; '' if nothing.
    """

    name: str
    title: str
    memory: int = 0
    problem: str = ""


def devices() -> list[Device]:
    """The processor and every NVIDIA GPU of this machine, without importing TensorFlow."""
    return [Device("cpu", _processor(), _machine_memory()), *_nvidia_devices()]


def backend_name() -> str:
    """`tensorflow`, `jax` or `torch`: what Keras uses in this process."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def select_device(requested: str) -> str:
    """Make this process compute on `requested` and return it; `auto` takes the first GPU that works.

    Must run before anything was computed. Never falls back silently.

    Raises:
        DeviceError: the GPU cannot be used, with the reason.
    """
    usable = _usable_gpus()
    if requested == "cpu" or (requested == "auto" and not usable):
        _restrict(None)
        return "cpu"
    number = 0 if requested == "auto" else int(requested.split(":")[1])
    if number >= len(usable):
        raise DeviceError(
            f"The device {requested} cannot be used: {_why_no_gpu(number, len(usable))}.",
            "Fix that, or choose the device 'cpu'.",
            {"device": "cpu"},
        )
    _restrict(number)
    return f"gpu:{number}"


def choose_precision(requested: str, device: str, deterministic: bool = False) -> str:
    """`float32`, `mixed_bfloat16` or `mixed_float16`: the Keras policy for a config's precision.

    `auto` takes bfloat16 where the device multiplies it natively (AVX-512 BF16 or AMX; NVIDIA from
    compute capability 8.0), and float32 elsewhere and in deterministic mode.
    """
    if requested != "auto":
        return requested if requested == "float32" else f"mixed_{requested}"
    native = processor_has_bfloat16() if device == "cpu" else _gpu_has_bfloat16(device)
    return "mixed_bfloat16" if native and not deterministic else "float32"


def processor_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (Linux tells; elsewhere False)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in CPU_FLAGS)


def make_deterministic(seed: int, deterministic: bool) -> None:
    """Seed every generator; with `deterministic`, also choose operations that repeat bit by bit."""
    import keras

    global _deterministic
    _deterministic = _deterministic or deterministic  # TensorFlow has no way back
    keras.utils.set_random_seed(seed)
    if deterministic and backend_name() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif deterministic and backend_name() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors compiled by XLA (TensorFlow, JAX); as it is under torch.

    Bilinear sampling gathers four values a pixel; XLA fuses them, which makes it 6 times as fast as
    TensorFlow's operations one after the other (0.2 s against 1.2 s for 12,800 images, two cores).
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, reduce_retracing=True)
    if backend_name() == "jax":
        import jax

        return jax.jit(function)
    return function


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors as one graph (TensorFlow, without XLA) or program (JAX); as it is under torch.

    XLA gains nothing on convolutions on a processor and takes seconds to compile them.
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)
    return compiled(function)


def fuse_normalization(model: Any) -> int:
    """Let the batch normalisations of a Keras model train by TensorFlow's fused kernel; returns how many.

    Keras composes the layer of a dozen operations, each a pass over the activations; the kernel does the
    same in two. The layers stay what they are: same weights, same file,
    same inference. Only those over the channels of an image (rank 4, last axis) have the kernel. Other
    backends fuse by themselves: nothing happens.
    """
    if backend_name() != "tensorflow":
        return 0
    import keras

    chosen = [
        layer
        for layer in model.layers
        if type(layer) is keras.layers.BatchNormalization
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and not layer.renorm
    ]
    for layer in chosen:
        layer.call = _fused_call(layer, layer.call)
    return len(chosen)


def _fused_call(layer: Any, composed: Callable[..., Any]) -> Callable[..., Any]:
    """The layer's `call` while it trains; frozen, or in inference, the composed one."""
    import tensorflow as tf

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or not layer.trainable:
            return composed(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            mean=[],
            variance=[],
            epsilon=layer.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance, n / (n - 1); Keras keeps the biased one.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        biased = variance * (count - 1) / count
        for average, new in ((layer.moving_mean, mean), (layer.moving_variance, biased)):
            average.assign(average * layer.momentum + new * (1 - layer.momentum))
        return outputs

    return call


def resolved_jit(wanted: bool) -> bool:
    """Whether to compile the training step by XLA: always under JAX, under TensorFlow as wanted.

    Not in TensorFlow's deterministic mode, in which Keras refuses it.
    """
    return backend_name() == "jax" or (wanted and backend_name() == "tensorflow" and not _deterministic)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide a result, those installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in (
        "tensorflow",
        "jax",
        "torch",
        "keras",
        "numpy",
        "scipy",
        "scikit-learn",
        "opencv-python-headless",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _machine_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def _nvidia_devices() -> list[Device]:
    """GPUs as `nvidia-smi` lists them, or as the kernel driver does where the tool is missing."""
    tool = shutil.which("nvidia-smi")
    if tool:
        query = [tool, "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            answer = ""
        rows = [line.split(",") for line in answer.splitlines() if line.count(",") >= 2]
        if rows:
            return [
                Device(f"gpu:{int(index)}", name.strip(), _mebibytes(memory), _visible_problem(int(index)))
                for index, name, memory in (row[:3] for row in rows)
            ]
    if not NVIDIA_FOLDER.is_dir():
        return []
    titles = [_driver_title(folder) for folder in sorted(NVIDIA_FOLDER.iterdir())]
    return [Device(f"gpu:{n}", title, 0, _visible_problem(n)) for n, title in enumerate(titles)]


def _mebibytes(text: str) -> int:
    return int(float(text) * 2**20) if text.strip().replace(".", "", 1).isdigit() else 0


def _driver_title(folder: Path) -> str:
    try:
        for line in (folder / "information").read_text(encoding="utf-8").splitlines():
            if line.startswith("Model:"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "NVIDIA GPU"


def _visible_problem(number: int) -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return ""
    shown = [part.strip() for part in visible.split(",") if part.strip()]
    numbers = [part for part in shown if part.isdigit()]
    if not shown or shown[0].startswith("-") or (len(numbers) == len(shown) and str(number) not in shown):
        return f"CUDA_VISIBLE_DEVICES={visible!r} hides it"
    return ""


def _usable_gpus() -> list[Any]:
    """The GPUs the computing library itself can use."""
    name = backend_name()
    if name == "tensorflow":
        import tensorflow as tf

        return list(tf.config.list_physical_devices("GPU"))
    if name == "jax":
        import jax

        try:
            return list(jax.devices("gpu"))
        except RuntimeError:
            return []
    import torch

    return list(range(torch.cuda.device_count()))


def _restrict(number: int | None) -> None:
    """Use only GPU `number`, or none, in this process."""
    name = backend_name()
    if name == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        chosen = [] if number is None else [gpus[number]]
        if tf.config.get_visible_devices("GPU") != chosen:
            try:
                tf.config.set_visible_devices(chosen, "GPU")
            except RuntimeError as error:
                raise DeviceError(
                    "This process already computes on another device.",
                    "Start the training in a process of its own.",
                ) from error
        for gpu in chosen:
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
    elif name == "jax":
        import jax

        platform_devices = jax.devices("cpu") if number is None else jax.devices("gpu")
        jax.config.update("jax_default_device", platform_devices[number or 0])
    else:
        import torch

        torch.set_default_device("cpu" if number is None else f"cuda:{number}")


def _gpu_has_bfloat16(device: str) -> bool:
    name = backend_name()
    if name == "tensorflow":
        import tensorflow as tf

        gpu = tf.config.list_physical_devices("GPU")[int(device.split(":")[1])]
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        return tuple(capability) >= BFLOAT16_CAPABILITY
    if name == "torch":
        import torch

        return bool(torch.cuda.is_bf16_supported())
    return True


def _why_no_gpu(number: int, usable: int) -> str:
    """The likeliest reason, from what the machine shows."""
    name = backend_name()
    present = _nvidia_devices()
    library = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(name, name)
    if usable:
        return f"{library} sees {usable} GPU{'s' * (usable > 1)}, numbered from 0"
    if not present:
        return "this machine shows no NVIDIA driver (neither nvidia-smi nor /proc/driver/nvidia answers)"
    if number >= len(present):
        return f"this machine has {len(present)} NVIDIA GPU{'s' * (len(present) > 1)}, numbered from 0"
    if present[number].problem:
        return f"the environment variable {present[number].problem}"
    if name == "tensorflow":
        import tensorflow as tf

        if not tf.test.is_built_with_cuda():
            return (
                f"the installed TensorFlow {tf.__version__} is built without CUDA (on native Windows and "
                "macOS it always is); install requirements-gpu.txt on Linux"
            )
        if importlib.util.find_spec("nvidia") is None:
            return (
                f"the driver sees {present[number].title}, but CUDA's libraries are not installed; run "
                "'python dashboard' without --cpu, or pip install -r requirements-gpu.txt"
            )
    return (
        f"the driver sees {present[number].title}, but {library} could not load it; its messages "
        "at the start of train.log name the library or the driver version that is missing"
    )
