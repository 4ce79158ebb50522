"""The table itself: lazy, and clear about what it refuses."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from fer.errors import UserError
from fer.models import MODELS, model_spec


def test_reading_the_table_imports_no_keras():
    code = (
        "import sys; from fer.models import MODELS; "
        "[(spec.options, spec.description) for spec in MODELS.values()]; "
        "sys.exit(bool({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(
        UserError, match=r"Unknown model 'resnt50'. Choose from: baseline_cnn, unet_attention"
    ):
        model_spec("resnt50")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("baseline_cnn", {"droput": 0.1}, "no option 'droput'. Choose from: dropout"),
        ("baseline_cnn", {"dropout": 1.5}, "'dropout' of model 'baseline_cnn' cannot be 1.5"),
        ("baseline_cnn", {"dropout": "half"}, "cannot be 'half'; give a value like 0.5"),
        ("vgg", {"hidden": True}, "cannot be True"),
        ("resnet_se", {"widths": [32, "wide"]}, "cannot be"),
        ("unet_se", {"dropout": [0.1]}, "give a value like"),
        (
            "resnet50",
            {"weights": None, "channels": "rgb"},
            "Unknown channels 'rgb'. Choose from: repeat, adapter",
        ),
        ("resnet50", {"weights": None, "pool": "sum"}, "Unknown pool 'sum'. Choose from: average, max"),
        ("xception", {"weights": None, "image_size": 48}, "at least 71 pixels, not 48"),
        ("resnet_se", {"blocks": [1, 1]}, "4 widths and 2 block counts"),
        ("cct", {"heads": 5}, "192 cannot be divided among 5 heads"),
        ("hybrid", {"weights": None, "backbone": "resnet18"}, "Unknown backbone 'resnet18'"),
    ],
)
def test_options_that_cannot_be(name, options, message):
    with pytest.raises(UserError, match=message):
        MODELS[name].build(**options)


def test_shared_arguments_that_cannot_be():
    with pytest.raises(UserError, match="Unknown preprocessing 'sharpen'"):
        MODELS["baseline_cnn"].build(preprocessing="sharpen")
    with pytest.raises(UserError, match="at least 2 classes, not 1"):
        MODELS["baseline_cnn"].build(classes=1)


@pytest.mark.parametrize("name", ["baseline_cnn", "mobilenetv3small"])
def test_standardised_models_ignore_brightness_and_contrast(name):
    spec = MODELS[name]
    size = {"image_size": 96} if spec.pretrained else {}
    model = spec.build(preprocessing="standardise", **spec.offline_options, **size)
    images = np.random.default_rng(1).random((2, 48, 48, 1), dtype=np.float32)
    features = keras.Model(model.input, model.get_layer("features").output)
    plain, changed = features(images), features(0.8 * images + 0.1)
    np.testing.assert_allclose(plain, changed, atol=2e-3 * float(np.abs(plain).max()))
    standardised = keras.Model(model.input, model.get_layer("standardise").output)(images)
    np.testing.assert_allclose(np.std(standardised, axis=(1, 2, 3)), 1, atol=1e-3)
    assert model.get_layer("standardise").count_params() == 0


def test_the_studys_vision_transformer_adds_up():
    model = MODELS["vit_patch8"].build()
    parameters = {layer.name: layer.count_params() for layer in model.layers}
    assert parameters["patch_embedding"] == 4_160
    assert parameters["positions"] == 2_304
    assert parameters["class_token"] == 64
    assert sum(count for name, count in parameters.items() if name.startswith("block")) == 598_016
    assert parameters["features"] + parameters["logits"] == 583


def test_class_token_comes_first_and_positions_skip_it():
    from fer.models.layers import ClassToken, PositionEmbedding

    token, positions = ClassToken(), PositionEmbedding()
    tokens = np.zeros((2, 3, 4), np.float32)
    result = np.asarray(token(positions(tokens)))
    np.testing.assert_array_equal(result[0, 0], np.asarray(token.token)[0, 0])
    np.testing.assert_array_equal(result[1, 1:], np.asarray(positions.embedding))


def test_models_meant_for_the_shipped_file_fit_in_six_megabytes():
    assert MODELS["resnet_se"].build().count_params() * 4 < 6e6
