"""How fast photos and faces are predicted, decoding and detection included; by the clock on the wall.

    python tests/benchmarks/prediction_speed.py RUN_DIRECTORY

Prints the median for a 2-megapixel JPEG with one face (the limit is 150 ms on 2 cores), for a crop alone,
and faces per second of a batch of photos and of crops (limits: 20 and 30). `processor` counts the time of
all cores and says more on a machine that is not idle.
"""

import argparse
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fer.data.demo import draw_face, draw_photo
from fer.prediction import Predictor, decode_photo, find_faces, predict_files


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def show(name: str, work: Callable[[], object], times: int = 25) -> None:
    work()
    rows = []
    for _ in range(times):
        started = time.perf_counter(), time.process_time()
        work()
        rows.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    wall, processor = 1000 * np.median(rows, axis=0)
    print(f"{name:44} p50 {wall:7.1f} ms   processor {processor:7.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    started = time.perf_counter()
    predictor = Predictor([parser.parse_args().run])
    print(f"loading the network and compiling it: {time.perf_counter() - started:.1f} s")
    photo = draw_photo(3, 1632, 1224)[0]
    content = jpeg(photo)
    show("decode a 2-megapixel JPEG", lambda: decode_photo(content))
    show("find one face in 2 megapixels", lambda: find_faces(photo))
    show("photo of 2 megapixels with one face, in all", lambda: predictor.predict(content))
    crop = draw_face(3, (1, 2))[0][None]
    show("one crop", lambda: predictor.predict_crops(crop))
    crops = np.repeat(crop, 64, axis=0)
    show("64 crops", lambda: predictor.predict_crops(crops))
    files = [(str(n), jpeg(draw_photo(n, 800, 600, faces=1 + n % 3)[0])) for n in range(12)] * 3
    started = time.perf_counter()
    found = sum(len(result.faces) for result in predict_files(predictor, files))
    seconds = time.perf_counter() - started
    print(f"batch of {len(files)} photos: {found} faces in {seconds:.1f} s, {found / seconds:.0f} faces/s")


if __name__ == "__main__":
    main()
