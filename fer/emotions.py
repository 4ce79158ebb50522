"""The seven expression classes of FER-2013, in the order used everywhere in this project.

The folder release sorts class names alphabetically and so do we; the original `fer2013.csv` numbers
them differently (Goodfellow et al. 2013, "Challenges in Representation Learning"), see `CSV_ORDER`.
"""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

# Label n of fer2013.csv is CSV_ORDER[n].
CSV_ORDER: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

IMAGE_SIZE = 48

# One colour per class, the same in every chart; Okabe-Ito, distinguishable with colour-blindness.
COLOURS: dict[str, str] = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#7B5EA7",
    "happy": "#E69F00",
    "neutral": "#8C8C8C",
    "sad": "#0072B2",
    "surprise": "#CC79A7",
}
