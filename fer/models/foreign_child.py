"""The child process that opens a `.keras` file from elsewhere: `python -m fer.models.foreign_child JOB`.

`JOB` is a folder with `job.json` (`source`, `scale`); the result is `network.keras` and `verdict.json` there.
Started only by `fer.models.foreign`, with limits on memory, processor time and the size of files.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError
from fer.models.foreign_archive import MEGABYTE, check_archive, damaged, refused

if TYPE_CHECKING:
    import keras

MEMORY = 3072 * MEGABYTE  # beyond what the libraries take; the largest network here needs 0.6 GB
CHECK_MEMORY = 1536 * MEGABYTE
SECONDS = 10  # of processor time after the libraries are loaded; the slowest network here takes 3
FILE_SIZE = 640 * MEGABYTE
MAX_PARAMETERS = 80_000_000
MAX_ACTIVATION = 2**24  # values of one layer for one image; the largest here: 1.8 million
SCALES: dict[str, tuple[float, float]] = {  # name: (scale, offset) that make it of pixels from 0 to 1
    "0..1": (1.0, 0.0),
    "0..255": (255.0, 0.0),
    "-1..1": (2.0, -1.0),
}


def main(folder: Path) -> int:
    """Check, load, try and save anew; 0 with a verdict of `facts` or `error`."""
    limit(CHECK_MEMORY, 30)
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    verdict: dict[str, Any]
    try:
        checked = folder / "checked.keras"
        check_archive(Path(job["source"]), checked)
        verdict = {"facts": _loaded(checked, folder / "network.keras", SCALES[job["scale"]])}
    except UserError as error:
        verdict = {"error": str(error)}
    except MemoryError:
        verdict = {"error": str(refused("it needs more memory than a network may"))}
    (folder / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    return 0


def limit(memory: int, seconds: int) -> None:
    """Let this process have `memory` bytes and `seconds` of processor time more than it has used.

    On systems without these limits the parent's own watch over memory and time has to do.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    space = _address_space()
    if space:
        _soften(resource.RLIMIT_AS, space + memory)
    _soften(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds)
    _soften(resource.RLIMIT_FSIZE, FILE_SIZE)
    _soften(resource.RLIMIT_CORE, 0)


def _soften(kind: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _address_space() -> int:
    """Bytes of address space in use; 0 where `/proc` does not tell (there RLIMIT_AS means little)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _loaded(source: Path, target: Path, scale: tuple[float, float]) -> dict[str, Any]:
    """Load with Keras, see that it fits and answers, save it without anything foreign; facts about it."""
    _free_memory()
    import keras

    limit(MEMORY, SECONDS)
    from fer.models.loading import load_model, save_model

    try:
        model = load_model(source)
        _check_shapes(model)
        model = _ours(model, scale)
        _try(model)
        save_model(model, target)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # Keras and TensorFlow raise all kinds for networks that do not fit together
        raise damaged(error) from error
    return {
        "parameters": int(model.count_params()),
        "trainable": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "keras": keras.__version__,
        "layers": [
            {
                "name": layer.name,
                "kind": type(layer).__name__,
                "shape": list(layer.output.shape[1:]) if hasattr(layer.output, "shape") else [],
                "parameters": int(layer.count_params()) if layer.built else 0,
            }
            for layer in model.layers
        ],
    }


def _free_memory() -> None:
    """No limit while the libraries come in: what they reserve differs from machine to machine."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)


def _check_shapes(model: "keras.Model") -> None:
    """One grey image in, seven numbers out, and no layer larger than a server can hold."""
    shape, columns = tuple(model.input_shape), tuple(model.output_shape)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise refused(f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each")
    if shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 1):
        raise refused(
            f"it takes images of shape {shape[1:]}; faces here are ({IMAGE_SIZE}, {IMAGE_SIZE}, 1), so put a "
            "resizing layer in front of it"
        )
    if columns[1:] != (len(EMOTIONS),):
        raise refused(f"it answers with shape {columns[1:]}; expected {len(EMOTIONS)} expressions")
    if model.count_params() > MAX_PARAMETERS:
        raise refused(f"it has {model.count_params():,} parameters; the limit is {MAX_PARAMETERS:,}")
    for layer in _all_layers(model):
        outputs = layer.output if isinstance(layer.output, list | tuple) else [layer.output]
        for tensor in outputs:
            size = int(np.prod([side or IMAGE_SIZE for side in tensor.shape[1:]], dtype=np.float64))
            if size > MAX_ACTIVATION:
                raise refused(
                    f"its layer {layer.name[:60]!r} makes {size:,} values of one image; the limit is "
                    f"{MAX_ACTIVATION:,}"
                )


def _all_layers(model: Any) -> list[Any]:
    found = []
    for layer in model.layers:
        found += _all_layers(layer) if hasattr(layer, "layers") else [layer]
    return [layer for layer in found if getattr(layer, "_inbound_nodes", None)]


def _ours(model: "keras.Model", scale: tuple[float, float]) -> "keras.Model":
    """A functional network of pixels from 0 to 1 that ends in probabilities."""
    import keras

    model.trainable = True
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)  # no lists of one tensor
    sample = _answers(model, scale)
    if not np.isfinite(sample).all():
        raise refused("its answers are not all finite numbers; its weights are damaged")
    sums_to_one = bool((sample >= -1e-5).all() and np.allclose(sample.sum(axis=1), 1, atol=1e-3))
    last = model.outputs[0]._keras_history.operation
    logits = getattr(last, "activation", None) is keras.activations.linear
    if not sums_to_one and not logits:
        raise refused("its answers are no probabilities: the seven do not add up to 1")
    if sums_to_one and scale == SCALES["0..1"]:
        return model
    inputs = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="pixels")
    outputs = model(keras.layers.Rescaling(*scale, name="input_range")(inputs))
    outputs = outputs[0] if isinstance(outputs, list) else outputs
    outputs = outputs if sums_to_one else keras.layers.Softmax(name="probabilities")(outputs)
    return keras.Model(inputs, outputs, name="imported")


def _answers(model: "keras.Model", scale: tuple[float, float]) -> np.ndarray:
    """(8, 7) float32 answers for random faces, a black one and a white one."""
    images = np.random.default_rng(0).random((8, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.float32)
    images[0], images[1] = 0, 1
    return np.asarray(model(images * scale[0] + scale[1], training=False), np.float32)


def _try(model: "keras.Model") -> None:
    answers = _answers(model, SCALES["0..1"])
    if answers.shape != (8, len(EMOTIONS)) or not np.isfinite(answers).all():
        raise refused("its answers are not all finite numbers; its weights are damaged")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
