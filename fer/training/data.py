"""What one training reads: images in memory as uint8, labels, weights, and the batches of each step.

Everything random is a pure function of (seed, phase, epoch, step), so a resumed run sees the batches an
uninterrupted one would have seen.
"""

from dataclasses import dataclass, field

import numpy as np

from fer.augmentation import AugmentationConfig, Augmenter
from fer.augmentation.preview import augmentation_seed
from fer.data.dataset import Dataset, open_dataset
from fer.data.selection import open_selection
from fer.data.splits import split_indices
from fer.emotions import EMOTIONS, IMAGE_SIZE
from fer.errors import UserError
from fer.training.config import TrainConfig
from fer.training.errors import DataError


@dataclass(frozen=True)
class TrainingData:
    """The images of a run.

    Attributes:
        dataset: the whole data set.
        selection: `name@version` of the selection used, '' for none.
        splits: `{'train', 'validation', 'test'}` int64 indices into the data set.
        images: (N + G, 48, 48) uint8, all of the data set, in memory; behind them G generated faces.
        labels: (N + G,) int64 index into the config's classes, relabelled by the selection; -1 for others.
        all_labels: (N,) uint8 index into `EMOTIONS`, relabelled by the selection.
        generated: (G,) int64 positions of the generated faces, which no split contains.
        generated_set: `name@version` of their set, '' for none.
        soft: (N + G, K) float32 answers of the teachers, of `fer.training.forerunners`; None without any.
    """

    dataset: Dataset
    selection: str
    splits: dict[str, np.ndarray]
    images: np.ndarray
    labels: np.ndarray
    all_labels: np.ndarray
    generated: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    generated_set: str = ""
    soft: np.ndarray | None = None

    @property
    def trained_on(self) -> np.ndarray:
        """(M,) int64 positions in `images`: the split `train` and the generated faces."""
        return np.concatenate([self.splits["train"], self.generated])


@dataclass(frozen=True)
class Batch:
    """What one step reads; B is the same for all steps of a run.

    images: (B, 48, 48) uint8. parameters: (B, 12) of `Augmenter`. targets: (B, K) float32, rows add up
    to 1. weights: (B,) float32. partners, mixing: of `Mix`, None without MixUp and CutMix.
    """

    images: np.ndarray
    parameters: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    partners: np.ndarray | None = None
    mixing: np.ndarray | None = None


def load_data(
    config: TrainConfig, selection_reference: str = "", generated_reference: str = ""
) -> TrainingData:
    """Open the config's data set, divide it, apply its selection and append its generated faces.

    selection_reference, generated_reference: `name@version` that a resumed run began with; '' takes the
    config's, which without a version means the latest.

    Raises:
        DataError: the data set or selection is gone, or nothing is left to train or validate on.
    """
    try:
        dataset = open_dataset(config.dataset)
        selection = None
        if config.selection:
            selection = open_selection(dataset, selection_reference or config.selection)
        splits = split_indices(dataset, config.split, selection, config.classes, config.limit)
        all_labels = np.asarray(dataset.labels if selection is None else selection.labels(dataset))
        images = np.array(dataset.images)
        extra = _generated(config, generated_reference)
    except UserError as error:
        raise DataError(str(error), "Check the data set on the Data page, then start again.") from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"The data set {config.dataset} cannot be read ({error}).", "Import it again, then start again."
        ) from error
    names = np.array([config.classes.index(name) if name in config.classes else -1 for name in EMOTIONS])
    faces, face_labels, reference = extra
    known = names[face_labels] >= 0
    return TrainingData(
        dataset=dataset,
        selection="" if selection is None else selection.reference,
        splits=splits,
        images=np.concatenate([images, faces[known]]) if known.any() else images,
        labels=names[np.concatenate([all_labels, face_labels[known]])],
        all_labels=all_labels,
        generated=len(images) + np.arange(int(known.sum())),
        generated_set=reference,
    )


def _generated(config: TrainConfig, reference: str) -> tuple[np.ndarray, np.ndarray, str]:
    """(G, 48, 48) faces and (G,) labels of the config's generated set, and its `name@version`.

    Raises:
        UserError: no such set, or its generator learned from other images than this run trains on: it
            could have seen the ones that validate this run.
    """
    if not config.generated:
        return np.zeros((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8), np.zeros(0, np.uint8), ""
    from fer.generation.dataset import open_set

    found = open_set(reference or config.generated)
    if (found.dataset, found.split) != (config.dataset, config.split):
        raise UserError(
            f"The generator of {found.reference!r} had another data set or split, so it may have learned "
            "from the images that validate this run. Train with its data set and split, or generate anew."
        )
    chosen = found.chosen(config.generated_per_class)
    return found.images[chosen], found.labels[chosen], found.reference


def class_weights(config: TrainConfig, labels: np.ndarray) -> np.ndarray:
    """(K,) float32 weight of each class of the config.

    `balanced`: w_c = N / (K · n_c) over `labels` (King & Zeng 2001, as in scikit-learn); a class without
    images weighs 0.

    labels: of what an epoch shows, so an image that oversampling repeats is in it as often. A phase on
        hard samples gives all training images, each once: the wrong ones are no measure of rarity.
    """
    count = len(config.classes)
    if config.class_weights == "none":
        return np.ones(count, dtype=np.float32)
    if isinstance(config.class_weights, dict):
        given = config.class_weights
        return np.array([given.get(name, 1.0) for name in config.classes], dtype=np.float32)
    images = np.bincount(labels, minlength=count).astype(np.float64)
    weights = np.divide(images.sum(), count * images, out=np.zeros(count), where=images > 0)
    return weights.astype(np.float32)


def oversampled(config: TrainConfig, indices: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`indices` with the images of some classes repeated up to the config's counts, evenly."""
    parts = [indices]
    for name, wanted in config.oversample.items():
        if name not in config.classes:
            continue
        members = indices[labels[indices] == config.classes.index(name)]
        missing = wanted - len(members)
        if len(members) and missing > 0:
            parts.append(np.resize(members, missing))
    return np.concatenate(parts)


class Batches:
    """The batches of one phase.

    indices: the images of an epoch, with repeats. augment: whether they are varied. weights: (K,).
    """

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        indices: np.ndarray,
        phase: int,
        augment: bool,
        weights: np.ndarray,
    ):
        self.config = config
        self.data = data
        self.indices = indices
        self.phase = phase
        self.weights = weights
        self.augmenter = Augmenter(config.augmentation if augment else AugmentationConfig(), config.classes)
        self.size = config.batch_size
        self.steps = -(-len(indices) // self.size)

    def order(self, epoch: int) -> np.ndarray:
        """(steps · B,) int64: every image once in random order; the last batch is filled from the first."""
        random = np.random.default_rng([self.config.seed, 0, self.phase, epoch])
        return np.resize(random.permutation(self.indices), self.steps * self.size)

    def batch(self, order: np.ndarray, epoch: int, step: int) -> Batch:
        """Step `step` of the run's epoch `epoch` (from 0 over all phases), whose order is `order`."""
        chosen = order[step * self.size : (step + 1) * self.size]
        labels = self.data.labels[chosen]
        parameters = self.augmenter.parameters(labels, augmentation_seed(self.config.seed, epoch, step))
        targets = self._targets(chosen, labels)
        weights = self.weights[labels]
        images = self.data.images[chosen]
        if not (self.config.mixup or self.config.cutmix):
            return Batch(images, parameters, targets, weights)
        random = np.random.default_rng([self.config.seed, 2, epoch, step])
        partners = random.permutation(len(chosen)).astype(np.int32)
        mixing, share = self._mixing(random)
        targets = share * targets + (1 - share) * targets[partners]
        weights = share * weights + (1 - share) * weights[partners]
        return Batch(images, parameters, targets, weights, partners, mixing)

    def _targets(self, chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(B, K) float32: the smoothed labels, with the teachers' share of what they answered."""
        epsilon, share = self.config.label_smoothing, self.config.distillation
        count = len(self.config.classes)
        targets = np.eye(count, dtype=np.float32)[labels] * (1 - epsilon) + epsilon / count
        if self.data.soft is not None:
            targets = share * self.data.soft[chosen] + (1 - share) * targets
        return targets.astype(np.float32)

    def _mixing(self, random: np.random.Generator) -> tuple[np.ndarray, np.float32]:
        """(B, 5) float32 for `Mix`, the same for the whole batch, and each image's share of its target."""
        config = self.config
        cut = config.cutmix > 0 and (config.mixup == 0 or random.random() < 0.5)
        alpha = config.cutmix if cut else config.mixup
        share = float(random.beta(alpha, alpha))
        row = [share, 0.0, 0.0, 0.0, 0.0]
        if cut:
            side = IMAGE_SIZE * np.sqrt(1 - share)
            x, y = random.uniform(0, IMAGE_SIZE, 2)
            edges = np.rint(np.clip([x - side / 2, x + side / 2, y - side / 2, y + side / 2], 0, IMAGE_SIZE))
            row = [1.0, *edges]
            share = 1 - (edges[1] - edges[0]) * (edges[3] - edges[2]) / IMAGE_SIZE**2
        return np.tile(np.array(row, dtype=np.float32), (self.size, 1)), np.float32(share)
