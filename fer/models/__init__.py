"""Every network that can be trained, in one explicit table.

Importing this module imports neither keras nor any model file: `ModelSpec.build` does, when called.
Adding a model is one file with a function `build(classes, input_shape, preprocessing, **options)` and
one entry in `MODELS`. What all models keep to:

- input (N, 48, 48, 1) float32 in [0, 1]; output (N, classes) softmax, layer `probabilities`, float32;
- layer `features`: the penultimate representation, (N, D), that `logits` reads;
- stable, unique layer names, only functional graphs, no Lambda layers.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.errors import UnknownName, UserError

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (48, 48, 1)
PREPROCESSINGS = ("scale", "standardise")
BACKBONES = ("resnet50", "inceptionv3", "efficientnetb3", "xception", "mobilenetv3small")
_SHARED = ("classes", "input_shape", "preprocessing")  # arguments of every `build`, not options


@dataclass(frozen=True)
class ModelSpec:
    """What is known about a model without building it.

    parameters: weights of the default build with seven classes, exact and tested.
    expected: the accuracy to expect, and where that figure comes from.
    cam_layer: the layer whose output Grad-CAM reads: (N, h, w, c), or (N, tokens, c) if `token_grid`.
    token_grid: rows and columns of the tokens; a class token, if `class_token`, comes before them.
    pretrained: accepts ImageNet weights (option `weights`: "imagenet", a file, or None).
    module: the file in fer/models that builds it; named as the model if empty.
    """

    name: str
    title: str
    parameters: int
    source: str
    expected: str
    cam_layer: str
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
        options: of `self.options`. Raises `UserError` for an unknown one or a value that does not fit.
        """
        if preprocessing not in PREPROCESSINGS:
            raise UnknownName("preprocessing", preprocessing, PREPROCESSINGS)
        if classes < 2:
            raise UserError(f"A classifier needs at least 2 classes, not {classes}.")
        self.check_options(options)
        module = import_module(f"fer.models.{self.module or self.name}")
        return module.build(classes, tuple(input_shape), preprocessing, **options)

    @property
    def options(self) -> dict[str, Any]:
        """The options of `build` with their defaults, as written in the model's file."""
        return dict(_defaults(self.module or self.name))

    @property
    def offline_options(self) -> dict[str, Any]:
        """Options that need no download: random weights for a backbone."""
        return {"weights": None} if self.pretrained else {}

    @property
    def description(self) -> str:
        """The docstring of the model's file, read without importing keras."""
        return ast.get_docstring(_tree(self.module or self.name)) or ""

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise `UserError` unless every option exists and its value is of its default's kind."""
        for option, value in options.items():
            if option not in self.options:
                known = ", ".join(self.options)
                raise UserError(f"Model {self.name!r} has no option {option!r}. Choose from: {known}.")
            default = self.options[option]
            if not _same_kind(value, default):
                raise UserError(
                    f"Option {option!r} of model {self.name!r} cannot be {value!r}; "
                    f"give a value like {default!r}."
                )


def model_spec(name: str) -> ModelSpec:
    """The entry of `MODELS`; an unknown name raises `UnknownName` with the list."""
    if name not in MODELS:
        raise UnknownName("model", name, list(MODELS))
    return MODELS[name]


def network_shape(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that shape a network, as JSON holds them: its defaults with `options`, but not `weights`.

    A model that is not known any more has the given ones alone.
    """
    known = MODELS[model].options if model in MODELS else {}
    found: dict[str, Any] = json.loads(json.dumps({**known, **options}))
    found.pop("weights", None)  # where it began; training replaces that
    return found


def _same_kind(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and value >= 0
    if isinstance(default, float):
        return isinstance(value, int | float) and 0 <= value < 1  # all of them are rates or penalties
    if isinstance(default, tuple):
        wanted = len(default) if default and isinstance(default[0], float) else None
        return (
            isinstance(value, list | tuple)
            and wanted in (None, len(value))
            and all(_same_kind(item, default[0]) for item in value)
        )
    return isinstance(value, str) or value is None  # weights, channels, pool, backbone


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))


@cache
def _defaults(module: str) -> dict[str, Any]:
    """Option → default of the function `build` in a model's file, without importing it (and keras)."""
    functions = [node for node in _tree(module).body if isinstance(node, ast.FunctionDef)]
    arguments = next(function for function in functions if function.name == "build").args
    names = [argument.arg for argument in arguments.args]
    values = [ast.literal_eval(default) for default in arguments.defaults]
    defaults = dict(zip(names[-len(values) :], values, strict=True))
    return {name: value for name, value in defaults.items() if name not in _SHARED}


_SPECS = (
    ModelSpec(
        name="baseline_cnn",
        title="Baseline CNN",
        parameters=57_527,
        source="Study A",
        expected="50.4 % on test (study A)",
        cam_layer="block3_conv",
    ),
    ModelSpec(
        name="unet_attention",
        title="Attention U-Net",
        parameters=2_026_247,
        source="Study A; Ronneberger et al. 2015",
        expected="64.8 % on test (study A)",
        cam_layer="decoder2_conv2_relu",
    ),
    ModelSpec(
        name="unet_separable",
        title="Attention U-Net, depthwise-separable",
        parameters=367_751,
        source="Study A, ablation; Chollet 2017",
        expected="about 62 % on test (study A: 3 points below the U-Net)",
        cam_layer="decoder2_conv2_relu",
    ),
    ModelSpec(
        name="unet_se",
        title="Residual U-Net with squeeze-excite",
        parameters=2_201_057,
        source="Study A; Hu et al. 2018",
        expected="60.0 % on test (study A)",
        cam_layer="decoder2_conv2_relu",
    ),
    ModelSpec(
        name="vit_patch8",
        title="Vision transformer, 8×8 patches",
        parameters=605_127,
        source="Study A; Dosovitskiy et al. 2021",
        expected="30.3 % on test (study A)",
        cam_layer="block4_norm1",
        token_grid=(6, 6),
        class_token=True,
    ),
    ModelSpec(
        name="cnn4",
        title="Four-block CNN",
        parameters=4_061_703,
        source="Study C",
        expected="62.9 %, 64.7 % after retraining on its mistakes (study C)",
        cam_layer="block4_conv",
    ),
    ModelSpec(
        name="vit_patch4",
        title="Vision transformer, 4×4 patches",
        parameters=24_487,
        source="Study C; Dosovitskiy et al. 2021",
        expected="39.6 %, 41.9 % after retraining on its mistakes (study C)",
        cam_layer="block4_norm1",
        token_grid=(12, 12),
    ),
    ModelSpec(
        name="resnet50",
        title="ResNet50, fine-tuned",
        parameters=24_115_079,
        source="Study A; He et al. 2016",
        expected="67.8 % on test (study A, ImageNet weights)",
        cam_layer="backbone_174_conv5_block3_out",
        pretrained=True,
    ),
    ModelSpec(
        name="inceptionv3",
        title="InceptionV3, fine-tuned",
        parameters=21_817_127,
        source="Study D; Szegedy et al. 2016",
        expected="44.1 % frozen, 49.0 % fine-tuned (study D, ImageNet weights)",
        cam_layer="backbone_310_mixed10",
        pretrained=True,
    ),
    ModelSpec(
        name="efficientnetb3",
        title="EfficientNetB3, fine-tuned",
        parameters=10_794_287,
        source="Studies A and B; Tan & Le 2019",
        expected="kappa 42.8 % (study B, under its hybrid head)",
        cam_layer="backbone_381_top_activation",
        pretrained=True,
    ),
    ModelSpec(
        name="xception",
        title="Xception, fine-tuned",
        parameters=20_875_823,
        source="Study B; Chollet 2017",
        expected="balanced accuracy 24.6 % (study B, under its hybrid head)",
        cam_layer="backbone_131_block14_sepconv2_act",
        pretrained=True,
    ),
    ModelSpec(
        name="mobilenetv3small",
        title="MobileNetV3Small, fine-tuned",
        parameters=943_159,
        source="Study B; Howard et al. 2019",
        expected="macro F1 17.7 % (study B, under its hybrid head)",
        cam_layer="backbone_155_activation",
        pretrained=True,
    ),
    ModelSpec(
        name="hybrid",
        title="Hybrid: attention, transformer, class branches",
        parameters=25_446_122,
        source="Study B; Woo et al. 2018",
        expected="balanced accuracy 58.3–58.9 % on ResNet50 (study B, ImageNet weights)",
        cam_layer="attention",
        pretrained=True,
    ),
    ModelSpec(
        name="resnet_se",
        title="Residual network with squeeze-excite",
        parameters=1_444_631,
        source="Ours; He et al. 2016, Hu et al. 2018",
        expected="67–69 % on PublicTest from scratch",
        cam_layer="stage4_block1_relu",
    ),
    ModelSpec(
        name="vgg",
        title="VGG with batch normalisation",
        parameters=7_320_135,
        source="Khaireddin & Chen 2021",
        expected="67.1 % on PublicTest here; 73.28 % on PrivateTest in the paper (ten crops, 300 epochs)",
        cam_layer="block4_conv2_relu",
    ),
    ModelSpec(
        name="cct",
        title="Compact convolutional transformer",
        parameters=2_106_280,
        source="Ours; Hassani et al. 2021",
        expected="above 60 % on PublicTest from scratch",
        cam_layer="block6_add2",
        token_grid=(6, 6),
    ),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
