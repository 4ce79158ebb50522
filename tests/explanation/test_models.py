"""Every network of `MODELS`: a map per class that differs between classes and from random weights."""

import time

import keras
import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.explanation import default_layer, explain, explain_many, explainable_layers
from fer.explanation.network import explained, grid_of
from fer.explanation.sanity import random_twin
from fer.models import MODELS

SMALL = {"weights": None, "image_size": 96}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    spec = MODELS[request.param]
    keras.utils.set_random_seed(11)
    options = dict(SMALL) if spec.pretrained else {}
    if request.param == "hybrid":
        options["backbone"] = "mobilenetv3small"
    yield spec, spec.build(**options)
    keras.backend.clear_session()


def face():
    """A drawn face, so that there is something to look at."""
    import cv2

    image = np.full((48, 48), 60, np.uint8)
    cv2.ellipse(image, (24, 24), (17, 21), 0, 0, 360, 170, -1)
    for x in (16, 32):
        cv2.circle(image, (x, 18), 3, 30, -1)
    cv2.ellipse(image, (24, 36), (8, 4), 0, 0, 180, 40, 2)
    return image


def test_maps_differ_between_classes_and_from_random_weights(model):
    spec, network = model
    images = np.repeat(face()[None], 7, axis=0)
    found = explain_many(network, images, targets=list(EMOTIONS))
    assert {one.layer for one in found} == {spec.cam_layer}
    drawn = [one for one in found if one.heatmap.max() > 0]
    assert len(drawn) >= 2  # a class that nothing speaks for has an empty map
    for n, first in enumerate(drawn):
        for second in drawn[n + 1 :]:
            assert np.abs(first.heatmap - second.heatmap).mean() > 1e-4, (first.target, second.target)
    twins = explain_many(random_twin(network, seed=1), images, targets=list(EMOTIONS))
    differences = [np.abs(a.heatmap - b.heatmap).mean() for a, b in zip(found, twins, strict=True)]
    assert max(differences) > 0.01
    started = time.perf_counter()
    explain(network, face(), target="sad")
    print(f"{spec.name}: {time.perf_counter() - started:.3f} s a map")


def test_the_prepared_network_answers_as_the_network_itself(model):
    _, network = model
    values = face()[None, ..., None].astype(np.float32) / 255
    expected = np.asarray(network(values, training=False))
    assert explained(network).probabilities(values) == pytest.approx(expected, abs=1e-4)


def test_token_grids_are_those_of_the_table(model):
    spec, network = model
    assert default_layer(network) == spec.cam_layer
    assert spec.cam_layer in explainable_layers(network)
    shape = explained(network).tensors[spec.cam_layer].shape
    if spec.token_grid:
        assert grid_of(shape) == (*spec.token_grid, int(spec.class_token))
