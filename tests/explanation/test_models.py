"""Every network of `MODELS`: a map per class that differs between classes and from random weights."""

import keras
import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.explanation import default_layer, explain_many, explainable_layers
from fer.explanation.graph import grid_of
from fer.explanation.network import explained
from fer.models import MODELS

# Small images keep this quick; below 128 pixels Inception's last feature map is a single position.
SMALL = {"weights": None, "image_size": 96}
OPTIONS = {"inceptionv3": {"image_size": 128}, "hybrid": {"backbone": "mobilenetv3small"}}


@pytest.mark.parametrize("name", MODELS)
def test_maps_differ_between_classes_and_from_random_weights(name):
    spec = MODELS[name]
    keras.utils.set_random_seed(11)
    network = spec.build(**(SMALL if spec.pretrained else {}) | OPTIONS.get(name, {}))
    images = np.repeat(face()[None], 7, axis=0)
    found = explain_many(network, images, targets=list(EMOTIONS))
    check_layer(spec, network, found)
    expected = np.asarray(network(face()[None, ..., None].astype(np.float32) / 255, training=False))[0]
    for one in found:
        assert list(one.probabilities.values()) == pytest.approx(expected, abs=1e-4)
    drawn = [one.heatmap for one in found if one.heatmap.max() > 0]
    assert len(drawn) >= 2  # a class that nothing speaks for has an empty map
    assert max(np.abs(a - b).mean() for a in drawn for b in drawn) > 0.01
    network.set_weights([shuffled(weight) for weight in network.get_weights()])
    others = explain_many(network, images, targets=list(EMOTIONS))
    assert max(np.abs(a.heatmap - b.heatmap).mean() for a, b in zip(found, others, strict=True)) > 0.01
    keras.backend.clear_session()


def check_layer(spec, network, found):
    """The map is read where the table says."""
    assert {one.layer for one in found} == {spec.cam_layer} == {default_layer(network)}
    assert spec.cam_layer in explainable_layers(network)
    if spec.token_grid:
        shape = explained(network).tensors[spec.cam_layer].shape
        assert grid_of(shape) == (*spec.token_grid, int(spec.class_token))


def shuffled(weight):
    """The same values in another order: as good as random, and of the same size."""
    return np.random.default_rng(weight.size).permutation(weight.ravel()).reshape(weight.shape)


def face():
    """A drawn face, so that there is something to look at."""
    import cv2

    image = np.full((48, 48), 60, np.uint8)
    cv2.ellipse(image, (24, 24), (17, 21), 0, 0, 360, 170, -1)
    for x in (16, 32):
        cv2.circle(image, (x, 18), 3, 30, -1)
    cv2.ellipse(image, (24, 36), (8, 4), 0, 0, 180, 40, 2)
    return image
