"""Every network that can be trained, in one explicit table.

Importing this module imports neither keras nor any model file: `ModelSpec.build` does, when called.
Adding a model is one file with a function `build(classes, input_shape, preprocessing, **options)` and
one entry in `MODELS`. What all models keep to:

- input (N, 48, 48, 1) float32 in [0, 1]; output (N, classes) softmax, layer `probabilities`, float32;
- layer `features`: the penultimate representation, (N, D), that `logits` reads;
- stable, unique layer names, only functional graphs, no Lambda layers.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (48, 48, 1)
PREPROCESSINGS = ("scale", "standardise")
BACKBONES = ("resnet50", "inceptionv3", "efficientnetb3", "xception", "mobilenetv3small")


@dataclass(frozen=True)
class ModelSpec:
    """What is known about a model without building it.

    parameters: weights of the default build with seven classes, exact and tested.
    expected: the accuracy to expect, and where that figure comes from.
    options: the keyword options of its `build` with their defaults.
    cam_layer: the layer whose output Grad-CAM reads: (N, h, w, c), or (N, tokens, c) if `token_grid`.
    token_grid: rows and columns of the tokens; a class token, if `class_token`, comes before them.
    pretrained: accepts ImageNet weights (option `weights`: "imagenet", a file, or None).
    """

    name: str
    title: str
    parameters: int | None
    source: str
    expected: str
    cam_layer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    token_grid: tuple[int, int] | None = None
    class_token: bool = False
    pretrained: bool = False
    module: str = ""

    def build(
        self,
        classes: int = 7,
        input_shape: tuple[int, int, int] = INPUT_SHAPE,
        preprocessing: str = "scale",
        **options: Any,
    ) -> "keras.Model":
        """A new network with fresh weights, under the global Keras dtype policy.

        preprocessing: "scale" takes the images as they are, "standardise" gives each image mean 0 and
        variance 1 in a first layer, so that a saved model always takes [0, 1].
        """
        if unknown := sorted(set(options) - set(self.options)):
            known = ", ".join(self.options) or "none"
            raise UserError(f"Model {self.name!r} has no option {unknown[0]!r}. Its options: {known}.")
        if preprocessing not in PREPROCESSINGS:
            raise UnknownName("preprocessing", preprocessing, PREPROCESSINGS)
        if classes < 2:
            raise UserError(f"A classifier needs at least 2 classes, not {classes}.")
        module = import_module(self.module or f"fer.models.{self.name}")
        return module.build(
            classes=classes,
            input_shape=tuple(input_shape),
            preprocessing=preprocessing,
            **{**self.options, **options},
        )

    @property
    def description(self) -> str:
        """The docstring of the model's file, read without importing keras."""
        name = (self.module or f"fer.models.{self.name}").rpartition(".")[2]
        source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        return ast.get_docstring(ast.parse(source)) or ""


def model_spec(name: str) -> ModelSpec:
    """The entry of `MODELS`; an unknown name raises `UnknownName` with the list."""
    if name not in MODELS:
        raise UnknownName("model", name, list(MODELS))
    return MODELS[name]


_SPECS = (
    ModelSpec(
        name="baseline_cnn",
        title="Baseline CNN",
        parameters=57_527,
        source="Study A, baseline",
        expected="50.4 % on test (study A)",
        cam_layer="block3_conv",
        options={"dropout": 0.5},
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
