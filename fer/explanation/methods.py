"""The explanation methods, what they show and what they cost; importable without TensorFlow."""

from dataclasses import dataclass

from fer.errors import UnknownName


@dataclass(frozen=True)
class Method:
    """What the choice of a method needs to say.

    Attributes:
        name: key in `METHODS`.
        title: as its paper writes it.
        source: the paper.
        about: one sentence for students.
        uses_layer: whether it reads a layer (else the pixels).
        heavy: whether it takes many passes, so that progress is worth showing.
    """

    name: str
    title: str
    source: str
    about: str
    uses_layer: bool = True
    heavy: bool = False


_METHODS = (
    Method(
        "gradcam",
        "Grad-CAM",
        "Selvaraju et al. 2017",
        "Where a layer's features speak for the class: each feature map weighted by its mean gradient.",
    ),
    Method(
        "gradcam++",
        "Grad-CAM++",
        "Chattopadhay et al. 2018",
        "Grad-CAM with weights that also find several or small regions.",
    ),
    Method(
        "layercam",
        "LayerCAM",
        "Jiang et al. 2021",
        "Each position weighted by its own positive gradient: finer, useful on early layers.",
    ),
    Method(
        "scorecam",
        "Score-CAM",
        "Wang et al. 2020",
        "Each feature map weighted by the answer to the image seen through it; no gradients.",
        heavy=True,
    ),
    Method(
        "saliency",
        "Saliency",
        "Simonyan et al. 2014",
        "Which pixels change the class's score most: the size of the gradient.",
        uses_layer=False,
    ),
    Method(
        "smoothgrad",
        "SmoothGrad",
        "Smilkov et al. 2017",
        "Saliency averaged over noisy copies of the image: less speckled.",
        uses_layer=False,
        heavy=True,
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}


def find_method(name: str) -> Method:
    """The method called `name`, however it is spelled (`Grad-CAM++`, `gradcam_plus_plus`).

    Raises:
        UnknownName: there is none; the message lists them.
    """
    plain = str(name).lower().replace("plus", "+")
    plain = "".join(character for character in plain if character.isalnum() or character == "+")
    if plain not in METHODS:
        raise UnknownName("explanation method", name, list(METHODS))
    return METHODS[plain]
