"""Models are built once for the whole folder: building the large ones takes longer than testing them."""

from functools import cache

import keras
import pytest

from fer.models import MODELS


@cache
def _built(name):
    keras.utils.set_random_seed(0)
    options = {"weights": None, "image_size": 96} if MODELS[name].pretrained else {}
    return MODELS[name].build(**options)


@pytest.fixture
def built():
    """name → the model without a download, the large ones on 96 instead of 224 pixels. Do not train it."""
    return _built


@pytest.fixture(params=list(MODELS))
def spec(request):
    return MODELS[request.param]


@pytest.fixture
def model(spec):
    return _built(spec.name)
