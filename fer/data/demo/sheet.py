"""A labelled sheet of faces, one row per expression: the picture for the README."""

import cv2
import numpy as np

from fer.data.dataset import Dataset
from fer.data.demo.build import FACTORS_FILE, demo_factors
from fer.emotions import EMOTIONS


def contact_sheet(dataset: Dataset, columns: int = 10, enlarge: int = 2, seed: int = 0) -> np.ndarray:
    """(H, W) uint8: `columns` random faces of each class of the train split, class names on the left.

    Planted outliers are left out where the data set has a record of them.
    """
    rng = np.random.default_rng(seed)
    outlier = np.zeros(len(dataset), dtype=bool)
    if (dataset.directory / FACTORS_FILE).exists():
        outlier = np.array([bool(record["outlier"]) for record in demo_factors(dataset)])
    cell, margin, gap = 48 * enlarge, 46 * enlarge, 2 * enlarge
    height, width = len(EMOTIONS) * (cell + gap) + gap, margin + columns * (cell + gap)
    sheet = np.full((height, width), 255, dtype=np.uint8)
    for row, emotion in enumerate(EMOTIONS):
        top = gap + row * (cell + gap)
        cv2.putText(
            sheet,
            emotion,
            (gap * 2, top + cell // 2 + 3 * enlarge),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.30 * enlarge,
            40,
            max(1, enlarge // 2),
            cv2.LINE_AA,
        )
        candidates = np.flatnonzero((dataset.labels == row) & (dataset.splits == 0) & ~outlier)
        chosen = rng.choice(candidates, min(columns, len(candidates)), replace=False)
        for column, index in enumerate(chosen):
            left = margin + column * (cell + gap)
            big = cv2.resize(np.asarray(dataset.images[index]), (cell, cell), interpolation=cv2.INTER_CUBIC)
            sheet[top : top + cell, left : left + cell] = big
    return sheet
