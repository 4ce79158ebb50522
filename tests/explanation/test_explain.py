"""Maps against an independent computation, their behaviour, and what is refused."""

import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.predictions import Stopped
from fer.explanation import METHODS, default_layer, explain, explain_many, explainable_layers
from fer.explanation.graph import grid_of
from fer.explanation.methods import find_method
from fer.explanation.network import explained


def small_model(softmax="dense", skip=False):
    """Two convolutions; the softmax inside the last Dense, as a layer, or replaced by something else."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((48, 48, 1))
    first = keras.layers.Conv2D(6, 5, strides=2, activation="relu", padding="same", name="first")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", padding="same", name="last")(first)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if skip:
        x = keras.layers.Concatenate()([x, keras.layers.GlobalMaxPooling2D()(first)])
    kernel = keras.initializers.RandomNormal(stddev=2)
    activation = {"dense": "softmax", "none": "linear"}.get(softmax)
    x = keras.layers.Dense(7, activation=activation, kernel_initializer=kernel, name="dense")(x)
    if softmax == "layer":
        x = keras.layers.Softmax()(x)
    if softmax == "activation":
        x = keras.layers.Activation("softmax")(x)
    return keras.Model(inputs, x, name="small")


def blob(row, column):
    """A noisy (48, 48) uint8 image with a bright blob."""
    rows, columns = np.mgrid[:48, :48]
    bright = 200 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 30)
    noise = np.random.default_rng(0).integers(0, 50, (48, 48))
    return (bright + noise).astype(np.uint8)


def independent_gradcam(model, image, layer, target, skip):
    """Selvaraju et al. 2017, equations 1 and 2, on the scores before the softmax; nothing of fer used."""
    part = {name: model.get_layer(name) for name in ("first", "last", "dense")}
    values = tf.constant(image[None, ..., None] / 255.0, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        first = part["first"](values)
        tape.watch(first)
        last = part["last"](first)
        tape.watch(last)
        features = tf.reduce_mean(last, axis=(1, 2))
        if skip:
            features = tf.concat([features, tf.reduce_max(first, axis=(1, 2))], axis=1)
        score = (tf.matmul(features, part["dense"].kernel.value) + part["dense"].bias.value)[0, target]
    activations = {"first": first, "last": last}[layer]
    weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2))[0]
    cam = tf.nn.relu(tf.tensordot(activations[0], weights, 1)).numpy()
    return cv2.resize(cam, (48, 48), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    ("softmax", "skip", "layer"),
    [
        ("dense", False, "last"),
        ("layer", True, "first"),
        ("layer", True, "last"),
        ("activation", False, "first"),
        ("none", True, "last"),
    ],
)
def test_gradcam_is_that_of_an_independent_gradient_computation(softmax, skip, layer):
    model, image = small_model(softmax, skip), blob(12, 30)
    compared = 0
    for target in range(7):
        expected = independent_gradcam(model, image, layer, target, skip)
        found = explain(model, image, "gradcam", layer, EMOTIONS[target]).heatmap
        if expected.max() < 1e-6:
            assert found.max() == 0
            continue
        compared += 1
        assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
        assert found == pytest.approx(expected / expected.max(), abs=1e-3)
    assert compared >= 3


def test_saliency_is_the_size_of_the_gradient_of_the_score():
    model, image = small_model("layer"), blob(20, 20)
    scores = keras.Model(model.input, model.get_layer("dense").output)
    values = tf.constant(image[None, ..., None] / 255.0, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        score = scores(values)[0, 5]
    gradient = np.abs(tape.gradient(score, values).numpy())[0, ..., 0]
    found = explain(model, image, "saliency", target="sad")
    assert found.heatmap == pytest.approx(gradient / gradient.max(), abs=1e-4)
    assert found.layer == ""


def test_score_cam_is_that_of_its_paper_on_a_linear_case():
    # One feature map per class position: the map that raises the class most decides.
    model, image = small_model("layer"), blob(10, 10)
    features = keras.Model(model.input, model.get_layer("last").output)
    values = image[None, ..., None].astype(np.float32) / 255
    maps = np.asarray(features(values))[0]
    weights = []
    for channel in range(maps.shape[-1]):
        from scipy.ndimage import zoom

        large = zoom(maps[..., channel], 4, order=1, mode="nearest")
        mask = (large - large.min()) / (np.ptp(large) + 1e-7)
        weights.append(np.asarray(model(values * mask[None, ..., None]))[0, 2])
    expected = np.maximum((maps * np.array(weights)).sum(axis=-1), 0)
    expected = cv2.resize(expected, (48, 48), interpolation=cv2.INTER_LINEAR)
    found = explain(model, image, "scorecam", "last", "fear").heatmap
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_map_of_the_image_that_moves_with_it(method):
    model, maps = small_model("layer"), {}
    targets = list(EMOTIONS) if METHODS[method].uses_layer else ["fear", "sad"]  # SmoothGrad is slow
    for name, image in (("left", blob(24, 8)), ("right", blob(24, 40))):
        results = explain_many(model, np.repeat(image[None], len(targets), 0), method, "last", targets)
        for one in results:
            assert one.heatmap.shape == (48, 48)
            assert one.heatmap.dtype == np.float32
            assert one.heatmap.min() >= 0
            assert one.heatmap.max() in (0, 1)
        maps[name] = np.sum([one.heatmap for one in results], axis=0)
    assert np.abs(maps["left"] - maps["right"]).mean() > 0.01
    if not METHODS[method].uses_layer:
        return  # a gradient shows what would change the score, which need not be where the blob is
    assert maps["left"][:, :24].sum() > maps["right"][:, :24].sum()
    assert maps["left"][:, 24:].sum() < maps["right"][:, 24:].sum()


def test_the_predicted_class_is_explained_without_a_wish():
    model, image = small_model("layer"), blob(24, 24)
    found = explain(model, image)
    answer = np.asarray(model(image[None, ..., None].astype(np.float32) / 255))[0]
    assert found.target == found.predicted == EMOTIONS[int(answer.argmax())]
    assert list(found.probabilities.values()) == pytest.approx(answer.tolist(), abs=1e-5)
    assert found.confidence == pytest.approx(answer.max(), abs=1e-5)
    for method in ("scorecam", "smoothgrad"):
        assert explain(model, image, method).probabilities == pytest.approx(found.probabilities, abs=1e-5)


def test_many_images_are_explained_as_each_alone():
    model = small_model("layer")
    images = np.stack([blob(10, 10), blob(30, 35), blob(20, 5)])
    together = explain_many(model, images, targets=["sad", "fear", "happy"])
    for image, one, target in zip(images, together, ["sad", "fear", "happy"], strict=True):
        assert one.heatmap == pytest.approx(explain(model, image, target=target).heatmap, abs=1e-4)


def test_smoothgrad_is_repeatable_and_leaves_the_random_generator_alone():
    model, image = small_model("layer"), blob(24, 24)
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first = explain(model, image, "smoothgrad", target="sad").heatmap
    assert np.random.random(3) == pytest.approx(expected)  # noqa: NPY002
    assert np.array_equal(first, explain(model, image, "smoothgrad", target="sad").heatmap)


@pytest.mark.parametrize("method", ["scorecam", "smoothgrad", "gradcam"])
def test_progress_and_cancelling(method):
    model, seen = small_model("layer"), []
    images = np.stack([blob(10, 10), blob(30, 30)])
    explain_many(model, images, method, progress=lambda f, text: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1
    calls = iter([False, False, True, True, True])
    if method != "gradcam":
        with pytest.raises(Stopped):
            explain_many(model, images, method, should_stop=lambda: next(calls))


def test_nested_and_sequential_models_are_opened():
    keras.utils.set_random_seed(8)
    inner = keras.Sequential(
        [
            keras.Input((48, 48, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="deep"),
            keras.layers.MaxPooling2D(),
        ],
        name="backbone",
    )
    inputs = keras.Input((48, 48, 1))
    x = inner(keras.layers.Concatenate()([inputs] * 3))
    x = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(x))
    nested = keras.Model(inputs, x)
    assert "deep" in explainable_layers(nested)
    images = np.repeat(blob(20, 30)[None], 7, axis=0)
    found, *others = explain_many(nested, images, layer="deep", targets=list(EMOTIONS))
    assert sum(one.heatmap.max() for one in [found, *others]) >= 2
    answer = nested(blob(20, 30)[None, ..., None].astype(np.float32) / 255)
    assert list(found.probabilities.values()) == pytest.approx(np.asarray(answer)[0].tolist(), abs=1e-5)
    plain = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            keras.layers.Conv2D(4, 3, name="only"),
            keras.layers.Flatten(),
            keras.layers.Dense(7),
        ]
    )
    assert default_layer(plain) == "only"
    assert explain(plain, blob(20, 30)).layer == "only"


def test_unusable_requests_are_refused_in_words():
    model, image = small_model("layer"), blob(24, 24)
    with pytest.raises(
        UserError, match=r"Unknown explanation method 'lime'. Choose from: gradcam, gradcam\+\+"
    ):
        explain(model, image, "lime")
    with pytest.raises(UserError, match=r"Unknown layer 'dense'. Choose from: first, last"):
        explain(model, image, layer="dense")
    with pytest.raises(UserError, match="Unknown class 'joy'"):
        explain(model, image, target="joy")
    with pytest.raises(UserError, match=r"\(3, 48, 48\)"):
        explain(model, np.zeros((3, 48, 48), np.uint8))
    with pytest.raises(UserError, match="7 outputs, but 6 classes"):
        explain(model, image, classes=EMOTIONS[:6])
    flat = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    with pytest.raises(UserError, match="no layer that keeps positions"):
        explain(flat, image)


def test_methods_are_found_however_they_are_spelled():
    for name in ("Grad-CAM++", "gradcam_plus_plus", "gradcam++"):
        assert find_method(name).name == "gradcam++"
    assert find_method("Score-CAM").name == "scorecam"


def test_grids_of_feature_maps_and_tokens():
    assert grid_of((None, 8, 6, 16)) == (8, 6, 0)
    assert grid_of((None, 36, 64)) == (6, 6, 0)
    assert grid_of((None, 37, 64)) == (6, 6, 1)
    assert grid_of((None, 35, 64)) is None
    assert grid_of((None, 1, 1, 64)) is None
    assert grid_of((None, 128)) is None


def test_a_network_is_prepared_once_and_explains_from_several_threads():
    from concurrent.futures import ThreadPoolExecutor

    model, image = small_model("layer"), blob(24, 24)
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(lambda _: id(explained(model)), range(8)))
        maps = list(pool.map(lambda _: explain(model, image, target="sad").heatmap, range(8)))
    assert len(set(prepared)) == 1
    assert all(np.array_equal(one, maps[0]) for one in maps)


def test_importing_the_package_imports_no_tensorflow():
    code = (
        "import sys, fer.explanation; from fer.explanation import METHODS, overlay\n"
        "assert not {'tensorflow', 'keras', 'streamlit'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
