"""Overlays, shares of heat, sanity check, feature and attention maps, activation maximisation."""

import keras
import numpy as np
import pytest

from fer.errors import UserError
from fer.explanation import area_shares, heat_shares, mean_map, overlay, sanity_check
from fer.explanation.activations import (
    attention_layers,
    attention_maps,
    convolution_layers,
    dimension_activations,
    feature_maps,
    token_layers,
)
from fer.explanation.maximisation import maximise_class
from fer.explanation.sanity import map_similarity
from fer.models import MODELS
from tests.explanation.test_explain import blob, small_model


def test_overlay_goes_from_the_image_to_the_map():
    image, heat = blob(24, 24), np.zeros((48, 48), np.float32)
    heat[10, 10] = 1
    only_image = overlay(image, heat, 0)
    assert only_image.shape == (48, 48, 3)
    assert only_image.dtype == np.uint8
    assert np.array_equal(only_image, np.repeat(image[..., None], 3, axis=2))
    only_map = overlay(image, heat, 1)
    assert only_map[10, 10].min() > 100  # Inferno ends in pale yellow
    assert only_map[40, 40].max() < 10  # and starts in black
    half = overlay(image, heat, 0.5).astype(float)
    assert half == pytest.approx((only_image.astype(float) + only_map) / 2, abs=1)
    assert overlay(image, heat, 0.5, scale=4).shape == (192, 192, 3)
    with pytest.raises(UserError, match="from 0 to 1"):
        overlay(image, heat, 1.5)


def test_heat_shares_add_up_and_know_eyes_mouth_and_border():
    even = np.ones((48, 48))
    assert heat_shares(even) == pytest.approx(area_shares())
    assert sum(area_shares().values()) == pytest.approx(1)
    for name, (row, column) in {
        "eyes": (17, 15),
        "mouth": (38, 24),
        "border": (1, 20),
        "elsewhere": (28, 24),
    }.items():
        heat = np.zeros((48, 48))
        heat[row, column] = 0.3
        assert heat_shares(heat)[name] == 1
    assert set(heat_shares(np.zeros((48, 48))).values()) == {0.0}


def test_mean_map():
    assert mean_map([np.zeros((48, 48)), np.ones((48, 48))]) == pytest.approx(0.5)
    with pytest.raises(UserError, match="no maps"):
        mean_map([])


def test_the_sanity_check_compares_with_random_weights():
    model = small_model("layer")
    check = sanity_check(model, blob(12, 30), layer="last", target="fear")
    assert check.trained.target == check.random.target == "fear"
    assert not np.array_equal(check.trained.heatmap, check.random.heatmap)
    assert check.similarity == map_similarity(check.trained.heatmap, check.random.heatmap)
    assert check.passed == (check.similarity < 0.7)
    assert f"{check.similarity:+.2f}" in check.sentence
    assert sanity_check(model, blob(12, 30), layer="last", target="fear").similarity == check.similarity


def test_similarity_of_maps():
    ramp = np.arange(48 * 48.0).reshape(48, 48)
    assert map_similarity(ramp, ramp**2) == pytest.approx(1)
    assert map_similarity(ramp, -ramp) == pytest.approx(-1)
    assert map_similarity(ramp, np.zeros((48, 48))) == 0


def test_feature_maps_are_the_outputs_of_the_layer():
    model, image = small_model("layer"), blob(20, 20)
    assert convolution_layers(model) == ["first", "last"]
    part = keras.Model(model.input, model.get_layer("first").output)
    expected = np.asarray(part(image[None, ..., None].astype(np.float32) / 255))[0]
    found = feature_maps(model, image, "first")
    assert found.shape == (6, 24, 24)
    assert found == pytest.approx(expected.transpose(2, 0, 1), abs=1e-6)
    with pytest.raises(UserError, match="Choose from: first, last"):
        feature_maps(model, image, "dense")


@pytest.fixture(scope="module", params=["vit_patch8", "cct"])
def transformer(request):
    keras.utils.set_random_seed(5)
    options = {"blocks": 2, "width": 32, "heads": 2}
    return MODELS[request.param].build(**options)


def test_attention_maps_are_shares_of_attention(transformer):
    names = attention_layers(transformer)
    assert len(names) == 2
    found = attention_maps(transformer, blob(20, 20))
    assert found.shape == (2, *MODELS[transformer.name].token_grid)
    assert (found >= 0).all()
    total = found.sum(axis=(1, 2))
    if transformer.name == "vit_patch8":
        assert (total < 1).all()  # the class token attends to itself too
    else:
        assert total == pytest.approx(1, abs=1e-4)
    assert not np.allclose(found, attention_maps(transformer, blob(20, 20), names[0]))


def test_attention_is_computed_as_in_the_paper(transformer):
    layer = attention_layers(transformer)[0]
    attention = transformer.get_layer(layer)
    norm = keras.Model(transformer.input, transformer.get_layer("block1_norm1").output)
    tokens = np.asarray(norm(blob(20, 20)[None, ..., None].astype(np.float32) / 255))[0]
    weights = {w.path.split("/", 1)[1]: np.asarray(w.value) for w in attention.weights}
    query = np.einsum("td,dhk->htk", tokens, weights["query/kernel"]) + weights["query/bias"][:, None]
    key = np.einsum("td,dhk->htk", tokens, weights["key/kernel"]) + weights["key/bias"][:, None]
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    class_token = transformer.name == "vit_patch8"
    expected = shares[:, 0, 1:] if class_token else shares.mean(axis=1)
    found = attention_maps(transformer, blob(20, 20), layer)
    assert found.reshape(found.shape[0], -1) == pytest.approx(expected, abs=1e-5)


def test_activation_per_dimension_of_the_first_and_last_block(transformer):
    assert token_layers(transformer) == ["block1_add2", "block2_add2"]
    found = dimension_activations(transformer, blob(20, 20))
    assert list(found) == ["block1_add2", "block2_add2"]
    assert found["block2_add2"].shape == (32,)


def test_networks_without_attention_say_so():
    with pytest.raises(UserError, match="no attention layer"):
        attention_maps(small_model(), blob(20, 20))
    with pytest.raises(UserError, match="no transformer blocks"):
        dimension_activations(small_model(), blob(20, 20))


def test_activation_maximisation_raises_the_class():
    model, seen = small_model("layer"), []
    start = maximise_class(model, "happy", steps=1)
    found = maximise_class(model, "happy", steps=30, progress=lambda f, text: seen.append(f))

    def probability(image):
        return float(np.asarray(model(image[None, ..., None]))[0, 3])

    assert found.shape == (48, 48)
    assert found.min() >= 0
    assert found.max() <= 1
    assert probability(found) > probability(start)
    assert seen[-1] == 1
