"""What a path or a label in somebody's copy of FER-2013 means: split, class, part.

The release's layout is `train/<class>/*.jpg` and `test/<class>/*.jpg`, also `validation/`; copies differ
in case, in wrapping folders and in words for the same emotion.
"""

from dataclasses import dataclass

from fer.data.dataset import PARTS
from fer.emotions import EMOTIONS

# Folder or `Usage` value, lower case without separators -> (split, part or '').
SPLIT_WORDS: dict[str, tuple[str, str]] = {
    "train": ("train", ""),
    "training": ("train", ""),
    "validation": ("validation", ""),
    "validate": ("validation", ""),
    "valid": ("validation", ""),
    "val": ("validation", ""),
    "dev": ("validation", ""),
    "test": ("test", ""),
    "testing": ("test", ""),
    "publictest": ("test", "PublicTest"),
    "privatetest": ("test", "PrivateTest"),
}

CLASS_WORDS: dict[str, str] = {
    **{emotion: emotion for emotion in EMOTIONS},
    **dict.fromkeys(("anger",), "angry"),
    **dict.fromkeys(("disgusted",), "disgust"),
    **dict.fromkeys(("fearful", "afraid", "scared"), "fear"),
    **dict.fromkeys(("happiness", "joy"), "happy"),
    **dict.fromkeys(("neutrality",), "neutral"),
    **dict.fromkeys(("sadness",), "sad"),
    **dict.fromkeys(("surprised", "suprise", "surprize"), "surprise"),
}

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
_LITTER = ("thumbs.db", "desktop.ini", "icon\r")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs, or why it cannot be placed.

    Attributes:
        split: index name in `SPLITS`; '' when the path names none.
        emotion: one of `EMOTIONS`.
        part: `PublicTest` or `PrivateTest` when the folder itself says so, else ''.
        file: the last component of the path.
    """

    split: str
    emotion: str
    part: str
    file: str

    @property
    def name(self) -> str:
        """The image's name in the data set: the same from a folder, a zip and any wrapping."""
        return f"{self.part or self.split}/{self.emotion}/{self.file}"


def place(path: str) -> Place | str:
    """The split and class that `path` (with `/` between components) names, or the reason it names none."""
    folders, file = path.split("/")[:-1], path.rsplit("/", 1)[-1]
    if not file.lower().endswith(IMAGE_SUFFIXES):
        return "not an image file"
    for position in range(len(folders) - 1, -1, -1):  # the innermost split folder counts
        split, part = SPLIT_WORDS.get(_plain(folders[position]), ("", ""))
        if split:
            below = folders[position + 1 :]
            if len(below) != 1:
                where = "not in a class folder" if not below else "deeper than its class folder"
                return f"{where}; expected {folders[position]}/<class>/<image>"
            emotion = class_name(below[0])
            return Place(split, emotion, part, file) if emotion in EMOTIONS else emotion
    if folders and class_name(folders[-1]) in EMOTIONS:
        return Place("", class_name(folders[-1]), "", file)
    return "not below a train, validation or test folder"


def class_name(folder: str) -> str:
    """The emotion a class folder means, or the reason it means none."""
    word = _plain(folder)
    if word in CLASS_WORDS:
        return CLASS_WORDS[word]
    if word.isdigit():
        return (
            f"class folder {folder[:40]!r} is a number, and FER-2013 has two numberings; "
            f"rename it to one of {', '.join(EMOTIONS)}"
        )
    return f"unknown class folder {folder[:40]!r}; known are {', '.join(EMOTIONS)}"


def usage(value: str) -> tuple[str, str] | None:
    """(split, part) of a `Usage` value; None when it is unknown. The part of train is `Training`."""
    found = SPLIT_WORDS.get(_plain(value))
    if found and found[0] == "train":
        return "train", PARTS[0]
    return found


def is_litter(path: str) -> bool:
    """Whether operating systems left this file: it is not part of anybody's data set."""
    parts = path.split("/")
    return "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1].lower() in _LITTER


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter not in " _-.")
