"""What a path or a label in somebody's copy of FER-2013 means: split, class, part.

The release's layout is `train/<class>/*.jpg` and `test/<class>/*.jpg`, also `validation/`; copies differ
in case, in wrapping folders and in words for the same emotion.
"""

from array import array
from dataclasses import dataclass, replace

import numpy as np

from fer.data.dataset import PARTS, SPLITS
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


@dataclass(frozen=True)
class Placed:
    """The files that name a split and a class, sorted by their names in the data set.

    Attributes:
        positions: (N,) int64, where each is in the list of paths.
        labels, splits: (N,) uint8, indices into `EMOTIONS` and `SPLITS`.
        names: N unique names.
        parts: N finer names (`PublicTest`, …), or empty where no folder gave one: then file names tell.
        quarantined: `{where, reason}` of the others.
        warnings: sentences for the user.
    """

    positions: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    names: list[str]
    parts: list[str]
    quarantined: list[dict[str, str]]
    warnings: list[str]


def place_all(paths: list[str]) -> Placed:
    """Place every path; of several with the same name in the data set, the first path counts.

    Keeps numbers in arrays: an object per image would cost more than its name.
    """
    flat = not any(
        isinstance(spot := place(path), Place) and spot.split for path in paths if not is_litter(path)
    )
    positions, codes = array("q"), bytearray()  # of each image: split, class, part
    names, quarantined = [], []
    for position in _ascending(paths):
        path = paths[position]
        if is_litter(path):
            continue
        spot = place(path)
        if isinstance(spot, Place) and not spot.split:
            spot = replace(spot, split="train") if flat else "not below a train, validation or test folder"
        if isinstance(spot, str):
            quarantined.append({"where": path, "reason": spot})
            continue
        positions.append(position)
        names.append(path if path == spot.name else spot.name)  # mostly the same: kept once
        codes += bytes(
            (SPLITS.index(spot.split), EMOTIONS.index(spot.emotion), ("", *PARTS).index(spot.part))
        )
    rows = array("q")
    for row in _ascending(names):
        if rows and names[row] == names[rows[-1]]:
            reason = f"has the same split, class and file name as {paths[positions[rows[-1]]]}"
            quarantined.append({"where": paths[positions[row]], "reason": reason})
        else:
            rows.append(row)
    kept = np.array(rows, dtype=np.int64)
    coded = np.frombuffer(codes, dtype=np.uint8).reshape(-1, 3)[kept]
    names = [names[row] for row in rows]
    return Placed(
        positions=np.array(positions, dtype=np.int64)[kept],
        labels=coded[:, 1].copy(),
        splits=coded[:, 0].copy(),
        names=names,
        parts=_parts(names, coded[:, 2]),
        quarantined=quarantined,
        warnings=_layout_warnings(flat and bool(names), quarantined),
    )


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


def _ascending(texts: list[str]) -> np.ndarray:
    """(N,) int64: which text comes first, second, …; equal ones in their order."""
    return np.argsort(np.array(texts, dtype=object), kind="stable")


def _parts(names: list[str], codes: np.ndarray) -> list[str]:
    """Finer split names, only where a folder gave one; else `Dataset.parts` reads the file names."""
    if not codes.any():
        return []
    given = ("", *PARTS)
    return [
        given[code] or name.rsplit("/", 1)[-1].split("_", 1)[0]
        for name, code in zip(names, codes.tolist(), strict=True)
    ]


def _layout_warnings(flat: bool, quarantined: list[dict[str, str]]) -> list[str]:
    warned = []
    if flat:
        warned.append("There are class folders but no train or test folder, so every image counts as train.")
    unknown = [entry for entry in quarantined if "class folder" in entry["reason"]]
    if unknown:
        where, reason = unknown[0]["where"], unknown[0]["reason"]
        warned.append(f"{len(unknown):,} images were left out; the first, {where}: {reason}.")
    return warned
