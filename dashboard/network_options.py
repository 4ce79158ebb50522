"""On the Train page: the options of a network, and the weights it begins with."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard.fields import Field, Form
from dashboard.sharing import LOOPBACK
from fer.errors import UserError
from fer.models import BACKBONES, model_spec
from fer.training.config import TrainConfig

IMAGENET, FILE, RANDOM = "imagenet", "file", "random"
CHOICES = {"channels": ("repeat", "adapter"), "pool": ("average", "max"), "backbone": BACKBONES}
_MOST = 4096  # of a whole number
_HELP = {
    "channels": "How the grey image becomes three channels: repeated, or by a learned 1×1 convolution.",
    "image_size": "Pixels a side that the image is enlarged to for the backbone.",
    "pool": "How the last feature map becomes one vector.",
    "multi_scale": "The head also reads two earlier stages of the backbone.",
    "hard_classes": "Classes with a branch of their own.",
    "hidden": "Units of the layers between.",
    "l2": "Penalty on the weights of the convolutions.",
    "ratio": "Of hidden units.",
    "drop_path": "Stochastic depth: share of blocks left out of a step, at most.",
    "separable": "Depthwise-separable convolutions.",
}


def own_options(config: TrainConfig) -> dict[str, Any]:
    """Every option of the config's network with the value it has, as JSON."""
    return json.loads(json.dumps(model_spec(config.model).options | config.model_options))


def ask(form: Form) -> None:
    """The options of the network, `weights` first."""
    options = form.own("model_options")
    if "weights" in options:
        _ask_weights(form)
    fields = {name: _field(name, value) for name, value in options.items() if name != "weights"}
    wide = [name for name in fields if isinstance(options[name], list | bool)]
    form.ask(*(each for name, each in fields.items() if name not in wide))
    for name in wide:
        form.ask(fields[name])


def weights_now(form: Form) -> str:
    """What the network begins with where no run gives its weights, in words."""
    options = form.own("model_options")
    weights = form.now("model_options.weights") if "weights" in options else None
    return {None: "random weights", IMAGENET: "ImageNet weights"}.get(weights, "the weights file")


def local() -> bool:
    """Whether only people at this computer can use the page."""
    return st.get_option("server.address") in LOOPBACK


def check(config: TrainConfig, own: Mapping[str, Any]) -> None:
    """Raise for an option that the network cannot have, and for a file that the page may not open.

    own: the options that were there before anything was changed on the page.
    """
    weights = config.model_options.get("weights")
    if weights not in (None, IMAGENET, own.get("weights")) and not local():
        raise UserError(
            "The app is shared on a network, so a weights file of this computer cannot be named in the "
            "browser. Choose ImageNet weights or random ones, or use python -m fer train."
        )
    model_spec(config.model).check_options(config.model_options)


def _ask_weights(form: Form) -> None:
    own = form.own("model_options.weights")
    names = {IMAGENET: "from ImageNet, downloaded by Keras", RANDOM: "random: trained from scratch"}
    if local():
        names[FILE] = "from a weights file on this computer"
    start = {IMAGENET: IMAGENET, None: RANDOM}.get(own, FILE)
    chosen = st.selectbox(
        "Initial weights",
        list(names),
        index=list(names).index(start) if start in names else 0,
        format_func=lambda name: names[name],
        help="A download that fails ends the run with a sentence; choose random weights then.",
        **form.options("weights"),
    )
    path = own if start == FILE else ""
    if chosen == FILE:
        path = st.text_input("Weights file", path, placeholder="/home/you/…_notop.h5", **form.options("file"))
        if not path:
            form.problems.append(UserError("No weights file is named. Give its path, or other weights."))
    form.note("model_options.weights", path if chosen == FILE else None if chosen == RANDOM else IMAGENET)


def _field(name: str, value: Any) -> Field:
    """The field of an option, by the kind of its value."""
    label, key = name.replace("_", " ").capitalize(), f"model_options.{name}"
    if name in CHOICES:
        return Field(key, label, _HELP.get(name, ""), choices={each: each for each in CHOICES[name]})
    if isinstance(value, float):
        return Field(key, label, _HELP.get(name, ""), low=0.0, high=0.99, step=0.05)
    return Field(key, label, _HELP.get(name, ""), high=_MOST)
