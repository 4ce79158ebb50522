"""Generated faces train, and nothing else: stored apart, versioned, refused where they could leak."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer import ablations
from fer.data.dataset import Dataset, list_datasets, pixel_hashes, save_dataset
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.errors import UnknownName, UserError
from fer.generation.config import DiffusionConfig
from fer.generation.dataset import GeneratedSet, accept, list_sets, open_set, reject
from fer.runs import Run, create_run, run_here, schedule
from fer.training.config import Phase, TrainConfig
from fer.training.data import Batches, class_weights, load_data
from tests.generation.conftest import bars

DISGUST = EMOTIONS.index("disgust")


@pytest.fixture
def faces(cache: object) -> Dataset:
    """Seven classes of bars with all three splits; disgust is rare."""
    images, labels, splits = [], [], []
    for split, counts in enumerate([(6, 3, 6, 6, 6, 6, 6), (2,) * 7, (2,) * 7]):
        for label, count in enumerate(counts):
            for n in range(count):
                noise = np.random.default_rng([split, label, n]).integers(0, 60, (48, 48))
                images.append(np.clip(bars(7)[label] * 0.7 + noise, 0, 255).astype(np.uint8))
                labels.append(label)
                splits.append(split)
    return save_dataset(
        "faces",
        np.stack(images),
        np.array(labels),
        np.array(splits),
        [f"face {n}" for n in range(len(labels))],
    )


def generator(dataset: Dataset, **changes: object) -> Run:
    return create_run(DiffusionConfig(dataset.fingerprint, **changes).to_json(), kind="diffusion")


def drawn(count: int, seed: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(200, 256, (count, 48, 48), dtype=np.uint8)


def filled(dataset: Dataset, count: int = 5) -> GeneratedSet:
    origins = [{"seed": 9, "number": n} for n in range(count)]
    return accept("more", generator(dataset), drawn(count), ["disgust"] * count, origins)


def quick(dataset: Dataset, **changes: object) -> TrainConfig:
    values: dict = {"phases": (Phase(epochs=1),), "batch_size": 16, "device": "cpu", "precision": "float32"}
    return TrainConfig(dataset.fingerprint, **(values | changes))


def test_a_set_grows_by_versions_and_is_no_data_set(faces: Dataset):
    first = filled(faces)
    assert (first.reference, first.counts()) == ("more@1", {"disgust": 5})
    assert [info.name for info in list_datasets()] == ["faces"]
    run = generator(faces)
    second = accept("more", run, drawn(7), ["disgust"] * 7, [{"number": n} for n in range(7)])
    assert (second.reference, len(second)) == ("more@2", 7)  # five of them were there already
    assert second.origins[6] == {"number": 6, "run": run.id}
    third = reject("more", [0, 1])
    np.testing.assert_array_equal(third.images, second.images[2:])
    assert len(open_set("more@1")) == 5
    assert [s.reference for s in list_sets()] == ["more@3"]
    with pytest.raises(UnknownName):
        open_set("more@9")
    with pytest.raises(UnknownName):
        open_set("../datasets")
    with pytest.raises(UserError, match="empty"):
        reject("more", list(range(5)))
    other = generator(faces, split=SplitConfig(seed=1))
    with pytest.raises(UserError, match="split"):
        accept("more", other, drawn(1, 1), ["disgust"], [{}])


def test_they_train_and_never_validate_or_test(faces: Dataset):
    """The run's files, its report and its batches: generated pixels are in the training batches alone."""
    made = filled(faces)
    config = quick(faces, generated="more")
    data = load_data(config)
    batches = Batches(
        config, data, data.trained_on, 0, False, class_weights(config, data.labels[data.trained_on])
    )
    seen = np.concatenate([batches.batch(batches.order(0), 0, n).images for n in range(batches.steps)])
    assert np.isin(pixel_hashes(made.images), pixel_hashes(seen)).all()
    assert (data.labels[data.generated] == DISGUST).all()
    strange = pixel_hashes(made.images)
    for name in ("train", "validation", "test"):
        assert data.splits[name].max() < len(faces)
        assert not np.isin(pixel_hashes(data.images[data.splits[name]]), strange).any()
    run = create_run(config.to_json(), name="with generated")
    run_here(run)
    assert run.status().state == "finished", run.log_tail()
    with np.load(run.directory / "splits.npz") as stored:
        assert all(stored[name].max() < len(faces) for name in stored.files)
    with np.load(run.directory / "predictions.npz") as stored:
        assert set(stored["indices"]) == {*faces.indices("validation"), *faces.indices("test")}
    from fer.evaluation.report import run_report
    from fer.storage import read_json

    report = run_report(run.directory, split="test")
    assert report["images"] == 14
    facts = read_json(run.directory / "environment.json")
    assert (facts["generated"], facts["images"]["generated"]) == ("more@1", 5)
    assert facts["images"]["train"] == len(faces.indices("train"))
    from fer.evaluation.protocol import protocol_card

    assert any("5 generated faces (more@1)" in text for text in protocol_card(run.directory).warnings)


def test_a_resumed_run_keeps_the_version_it_began_with(faces: Dataset):
    filled(faces)
    reject("more", [0])
    config = quick(faces, generated="more")
    assert len(load_data(config).generated) == 4
    assert len(load_data(config, generated_reference="more@1").generated) == 5
    assert len(load_data(replace(config, generated="more@1", generated_per_class=2)).generated) == 2
    others = tuple(name for name in EMOTIONS if name != "disgust")
    assert len(load_data(replace(config, classes=others)).generated) == 0


def test_faces_of_a_generator_that_saw_the_validation_images_are_refused(faces: Dataset):
    filled(faces)
    from fer.training.errors import DataError

    with pytest.raises(DataError, match="split"):
        load_data(quick(faces, generated="more", split=SplitConfig("kfold")))
    with pytest.raises(UserError, match="SMOTE"):
        quick(faces, generated="more", smote="another")


def test_the_remedies_are_queued_and_read_back_with_intervals(
    faces: Dataset, monkeypatch: pytest.MonkeyPatch
):
    queued: list[Run] = []
    monkeypatch.setattr(ablations, "submit", queued.append)
    filled(faces)
    recipe = quick(faces, class_weights="balanced", split=SplitConfig(validation_fraction=0.1))
    identifier = ablations.start_remedies(recipe, "more", seeds=2)
    assert ablations.identifiers() == []
    assert ablations.identifiers(of_remedies=True) == [identifier]
    variants = ["as it is", "class weights", "oversampled", "SMOTE", "generated"]
    rows = ablations.remedies_table(identifier)
    assert [row.variant for row in rows] == variants
    assert all((row.finished, row.planned, row.recall) == (0, 2, None) for row in rows)
    configs = [run.train_config() for run in queued]
    assert [c.class_weights for c in configs[:5]] == ["none", "balanced", "none", "none", "none"]
    assert configs[2].oversample == {"disgust": 3 + 5}  # as many as with the generated ones
    assert [c.smote for c in configs] == ["", "", "", queued[0].id, "", "", "", "", queued[5].id, ""]
    assert [schedule.forerunners(run.id) for run in queued[2:4]] == [set(), {queued[0].id}]
    assert {c.split for c in configs} == {SplitConfig()}  # the generator's
    assert configs[4].generated == "more@1"
    assert {c.seed for c in configs} == {0, 1}
    figures = iter([(0.2, 0.1, 0.4), (0.4, 0.3, 0.6)])

    def report(directory: Path, split: str, compute: bool) -> dict:
        recall, f1, macro = next(figures)
        return {"per_class": {"disgust": {"recall": recall, "f1": f1}}, "macro_f1": macro, "accuracy": 0.5}

    monkeypatch.setattr("fer.evaluation.report.run_report", report)
    from fer.runs import record_finished

    for run in (queued[0], queued[5]):
        record_finished(run, {"split": "test"})
    first, second, *_ = ablations.remedies_table(identifier)
    assert first.recall is not None
    assert first.recall[0] == pytest.approx(0.3)
    # Student's t with one degree of freedom: 12.7062 times 0.1414 / sqrt(2)
    assert first.recall[1] == pytest.approx(12.7062 * 0.1, rel=1e-3)
    assert (first.f1[0], first.macro_f1[0], first.finished) == (pytest.approx(0.2), pytest.approx(0.5), 2)
    assert second.recall is None
    with pytest.raises(UserError, match="no face of happy"):
        ablations.start_remedies(quick(faces), "more", emotion="happy")
