"""Tests of the optional extras, each in the environment that `python tests --extras` makes for it.

`FER_EXTRAS` names what this process tests (`jax`, `mlflow`, `ray`); without it nothing here is collected.
Under `jax`, TensorFlow cannot be imported at all.
"""

import os
import sys

from tests.extras.environments import PARTS

WANTED = os.environ.get("FER_EXTRAS", "")
collect_ignore = [f"test_{part}.py" for part in PARTS if part != WANTED]

if WANTED == "jax":
    assert os.environ.get("KERAS_BACKEND") == "jax", "KERAS_BACKEND must be set before keras is imported"
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # importing it is an ImportError
