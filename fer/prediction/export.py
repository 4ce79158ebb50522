"""Take a trained network away as `.keras` or ONNX, with the numeric difference checked before it is kept.

ONNX needs the optional packages tf2onnx, onnx and onnxruntime (`requirements-serve.txt`).
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fer.emotions import IMAGE_SIZE
from fer.errors import UnknownName, UserError
from fer.evaluation.predictions import compiled_predict, load_network
from fer.evaluation.trained import trained_run
from fer.storage import replacing

FORMATS = ("keras", "onnx")
LARGEST_DIFFERENCE = 1e-4
IMAGES = 64


def export_run(run: Any, target: str | Path, form: str = "keras") -> dict[str, Any]:
    """Write a run's network in float32 to `target` and return `{"out", "format", "bytes", "max_difference"}`.

    The file takes (N, 48, 48, 1) float32 in [0, 1] and gives (N, K) softmax probabilities. It is compared
    with the original on random images and refused, the old file kept, above `LARGEST_DIFFERENCE`.

    Raises:
        UserError: an unknown format, packages that are missing, a network that ONNX cannot express.
    """
    if form not in FORMATS:
        raise UnknownName("format", form, FORMATS)
    trained, target = trained_run(run), Path(target)
    target = target if target.suffix else target.with_suffix(f".{form}")
    model = load_network(trained)
    images = np.random.default_rng(0).random((IMAGES, IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.float32)
    expected = compiled_predict(model, images)
    write = _write_keras if form == "keras" else _write_onnx
    with replacing(target) as temporary:
        answers = write(model, temporary, images)
        difference = float(np.abs(answers - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise UserError(
                f"The exported network differs by {difference:.2g}, the limit is {LARGEST_DIFFERENCE:g}; "
                "nothing was written. Export it as .keras instead."
            )
        size = temporary.stat().st_size
    return {"out": str(target), "format": form, "bytes": size, "max_difference": difference}


def _write_keras(model: Any, path: Path, images: np.ndarray) -> np.ndarray:
    from fer.models.loading import load_model

    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:  # Keras insists on the suffix
        saved = Path(folder) / "model.keras"
        model.save(saved)
        shutil.copyfile(saved, path)
        return compiled_predict(load_model(saved), images)


def _write_onnx(model: Any, path: Path, images: np.ndarray) -> np.ndarray:
    missing = [name for name in ("tf2onnx", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"Exporting to ONNX needs {', '.join(missing)}: pip install tf2onnx onnx onnxruntime, "
            "or export as .keras."
        )
    import onnxruntime

    try:
        model.export(path, format="onnx", verbose=False)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"ONNX cannot express this network ({reason}); export it as .keras.") from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]
