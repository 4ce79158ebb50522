"""What the crop's margin and levelling cost in accuracy: FER-2013 faces found again in composed photos.

    python tests/benchmarks/face_framing.py FER2013_ZIP RUN_DIRECTORY [--faces 600]

PublicTest faces are enlarged to 200 pixels, pasted upright or tilted on a photo without people, found by
`find_faces`, cut out with several margins and predicted; the first row is the untouched image. A face that
is not found counts in none of the rows. Also prints where the detector's boxes lie in FER-2013's frame.
"""

import argparse
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from face_detection import paste

from fer.emotions import EMOTIONS
from fer.prediction import Predictor, crop_face, faces, find_faces

SIZE, CANVAS = 200, 420


def images(archive: Path, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if "PublicTest" in n and n.endswith(".jpg"))
        chosen = [names[i] for i in np.random.default_rng(2).choice(len(names), count, replace=False)]
        pixels = [cv2.imdecode(np.frombuffer(file.read(n), np.uint8), cv2.IMREAD_GRAYSCALE) for n in chosen]
        return pixels, np.array([EMOTIONS.index(n.split("/")[-2]) for n in chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zip", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--faces", type=int, default=600)
    options = parser.parse_args()
    predictor = Predictor([options.run])
    pixels, labels = images(options.zip, options.faces)
    place = load_sample_image("china.jpg")
    rng = np.random.default_rng(4)
    for tilt in (0, 15, 30):
        found, kept = [], []
        for index, image in enumerate(pixels):
            y, x = rng.integers(0, 640 - CANVAS), rng.integers(0, 427 - CANVAS)
            photo = np.ascontiguousarray(place[x : x + CANVAS, y : y + CANVAS])
            paste(photo, image, SIZE, CANVAS // 2, CANVAS // 2, float(tilt * rng.choice((-1, 1))))
            seen = find_faces(photo)
            if seen:
                found.append((photo, seen[0]))
                kept.append(index)
        truth, original = labels[kept], np.stack([pixels[i] for i in kept])
        print(f"tilt {tilt}°: {len(kept)} of {len(pixels)} found")
        if tilt == 0:
            sizes = [np.sqrt(f.box[2] * f.box[3]) / SIZE for _, f in found]
            across = [(f.box[0] + f.box[2] / 2 - CANVAS / 2) / SIZE for _, f in found]
            down = [(f.box[1] + f.box[3] / 2 - CANVAS / 2) / SIZE for _, f in found]
            offset = f"{np.median(across):+.3f} {np.median(down):+.3f}"
            print(f"  frame = {1 / np.median(sizes):.3f} boxes, offset {offset}")

        def accuracy(crops: np.ndarray, truth: np.ndarray = truth) -> float:
            return float((predictor.predict_crops(crops)[0].argmax(axis=1) == truth).mean())

        print(f"  untouched image      {accuracy(original):.3f}")
        for margin in (0.9, 1.0, 1.08, 1.16, 1.24, 1.32, 1.5):
            faces.FRAME = margin
            level = np.stack([crop_face(photo, face) for photo, face in found])
            as_is = np.stack([crop_face(photo, replace(face, landmarks=None)) for photo, face in found])
            print(
                f"  margin {margin:.2f}: levelled {accuracy(level):.3f}, not levelled {accuracy(as_is):.3f}"
            )


if __name__ == "__main__":
    main()
