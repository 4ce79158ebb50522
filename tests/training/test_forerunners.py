"""Weights from an earlier run and teachers: what they change, what is refused, what a resumed run keeps."""

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from fer.data.dataset import Dataset, save_dataset
from fer.data.splits import SplitConfig
from fer.errors import UserError
from fer.evaluation.protocol import protocol_card
from fer.evaluation.trained import trained_run
from fer.models.loading import load_model
from fer.runs import create_run, open_run, remove
from fer.runs.run import Run
from fer.training.config import Phase, TrainConfig, with_settings
from fer.training.data import Batches, load_data
from fer.training.fit import fit
from fer.training.forerunners import ANSWERS, forerunners, trained_on
from fer.training.state import load_state
from tests.training.conftest import bars, quick


def trained(config: TrainConfig, name: str) -> Run:
    run = create_run(config.to_json(), name=name)
    fit(config, run.directory)
    return run


def test_targets_are_part_label_part_the_teachers_mean(tiny: Dataset):
    one, two = trained(quick(tiny), "one"), trained(quick(tiny, seed=1), "two")
    config = quick(tiny, teachers=("one", "one", "two"), distillation=0.6, label_smoothing=0.1)
    run = trained(config, "student")
    with np.load(run.directory / ANSWERS) as stored:
        indices, answers = stored["indices"], stored["answers"]
    images = tiny.images[indices].astype(np.float32)[..., None] / 255
    networks = [load_model(teacher.directory / "best.keras") for teacher in (one, two)]
    both = [(n.predict(images, verbose=0) + n.predict(images[:, :, ::-1], verbose=0)) / 2 for n in networks]
    wanted = (2 * both[0] + both[1]) / 3  # who is named twice counts twice
    np.testing.assert_allclose(answers, wanted, atol=1e-5)

    soft = np.full((len(tiny), 7), np.nan, np.float32)
    soft[indices] = answers
    batches = Batches(
        config, replace(load_data(config), soft=soft), indices, 0, False, np.ones(7, np.float32)
    )
    order = batches.order(0)
    labels = np.eye(7)[np.asarray(tiny.labels)[order[:16]]] * 0.9 + 0.1 / 7
    wanted = 0.4 * labels + 0.6 * soft[order[:16]]
    np.testing.assert_allclose(batches.batch(order, 0, 0).targets, wanted, atol=1e-6)


def test_a_pure_student_learns_what_its_teacher_says_not_the_labels(cache: object):
    """The student's labels are turned round; it still answers as its teacher, which had the right ones."""
    phases = (Phase(epochs=12, learning_rate=3e-3),)
    faces, labels = bars((12,) * 7, seed=3)
    wrong = divided("wrong", faces, 6 - labels, *bars((4,) * 7, seed=4))
    right = divided("right", *bars((12,) * 7, seed=5), *bars((4,) * 7, seed=6))
    trained(quick(right, phases=phases), "teacher")
    student = trained(quick(wrong, phases=phases, teachers=("teacher",), distillation=1.0), "student")
    alone = trained(quick(wrong, phases=phases), "alone")
    assert student.metrics()["val_accuracy"] > 0.6
    assert alone.metrics()["val_accuracy"] < 0.4


def test_a_teacher_that_knows_the_validation_images_is_refused(cache: object):
    asked = divided("asked", *bars(seed=3), *bars((4,) * 7, seed=4))
    knows = divided("knows", *bars((4,) * 7, seed=4), *bars((4,) * 7, seed=6))
    trained(quick(knows), "teacher")
    for changes in ({"teachers": ("teacher",)}, {"initial": "teacher"}):
        with pytest.raises(UserError, match="28 of the 28 images that validate this training"):
            trained(quick(asked, **changes), f"student {len(changes)} {min(changes)}")


def divided(
    name: str, train: np.ndarray, train_labels: np.ndarray, held: np.ndarray, held_labels: np.ndarray
) -> Dataset:
    images, labels = np.concatenate([train, held]), np.concatenate([train_labels, held_labels])
    splits = np.repeat([0, 1], [len(train), len(held)])
    return save_dataset(name, images, labels, splits, [f"{name} {n}" for n in range(len(images))])


def test_initial_weights_are_the_other_runs_best(tiny: Dataset):
    first = trained(quick(tiny, phases=(Phase(epochs=2, learning_rate=3e-3),)), "first")
    still = quick(tiny, initial="first", seed=9, phases=(Phase(epochs=1, learning_rate=1e-12),))
    second = trained(still, "second")
    for one, other in zip(
        load_model(first.directory / "best.keras").trainable_weights,
        load_model(second.directory / "best.keras").trainable_weights,
        strict=True,
    ):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    assert "weights of run 'first'" in protocol_card(second).pretraining
    with pytest.raises(UserError, match="another network"):
        trained(quick(tiny, initial="first", model="cnn4"), "third")


def test_a_stopped_student_goes_on_with_the_answers_it_began_with(tiny: Dataset):
    trained(quick(tiny), "teacher")
    config = quick(tiny, teachers=("teacher",), phases=(Phase(epochs=3),))
    whole = trained(config, "whole")
    run = create_run(config.to_json(), name="pieces")
    assert fit(config, run.directory, should_stop=_after(9)).stopped
    written = (run.directory / ANSWERS).stat().st_mtime_ns
    assert not fit(config, run.directory).stopped
    assert (run.directory / ANSWERS).stat().st_mtime_ns == written
    rows = [load_state(r.directory / "last").rows for r in (whole, run)]
    for one, other in zip(*rows, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)


def _after(calls: int):
    asked = iter(range(10_000))
    return lambda: next(asked) >= calls


def test_what_the_teachers_saw_counts_as_seen(tiny: Dataset):
    trained(quick(tiny), "teacher")
    student = trained(quick(tiny, teachers=("teacher",), limit=20), "student")
    seen = trained_run(student).hashes
    train = tiny.hashes[tiny.indices("train")]
    assert np.isin(train, seen).all()
    assert "labels softened by the answers of 'teacher'" in protocol_card(student).pretraining


def made(name: str, config: TrainConfig, *seen: Dataset) -> Run:
    """A finished run that saw all images of the data sets, without its training."""
    splits = load_data(config).splits

    def fill(folder: Path) -> None:
        np.savez(folder / "splits.npz", **splits)
        np.save(folder / "hashes.npy", np.unique(np.concatenate([dataset.hashes for dataset in seen])))
        with ZipFile(folder / "best.keras", "w") as network:
            network.writestr("config.json", "{}")

    return create_run(config.to_json(), name=name, fill=fill)


def test_what_a_deleted_forerunner_saw_is_still_known_but_not_what_validated(cache: object):
    """The run's own validation images are no reason to refuse it where they validate again."""
    asked = divided("asked", *bars(seed=3), *bars((4,) * 7, seed=4))
    first = made("first", quick(asked), asked)
    second = made("second", quick(asked, teachers=("first",)), asked)
    data = load_data(quick(asked, initial="second"))
    before = trained_on(trained_run(second), data)
    remove(first)
    assert [run.name for run in forerunners(quick(asked, initial="second"), data)] == ["second"]
    np.testing.assert_array_equal(np.unique(trained_on(trained_run(second), data)), np.unique(before))
    turned = divided("turned", *bars((4,) * 7, seed=6), *bars((4,) * 7, seed=4))
    with pytest.raises(UserError, match="28 of the 28"):  # of another data set all that it saw counts
        forerunners(quick(turned, initial="second"), load_data(quick(turned)))


def test_copies_that_train_here_too_are_no_reason_to_refuse(cache: object):
    faces, labels = bars((4,) * 7, seed=3)
    twice = np.concatenate([faces, faces]), np.concatenate([labels, labels])
    copied = save_dataset("copied", *twice, np.zeros(56, dtype=int), [f"{n}" for n in range(56)])
    config = quick(copied, split=SplitConfig(group_duplicates=False))
    made("first", config, copied)
    data = load_data(config)
    assert np.isin(copied.hashes[data.splits["validation"]], copied.hashes[data.splits["train"]]).any()
    for changes in ({"initial": "first"}, {"smote": "first"}):
        assert [run.name for run in forerunners(replace(config, **changes), data)] == ["first"]


def test_what_the_base_of_smote_was_built_on_counts_as_seen_too(tiny: Dataset):
    """`base` began from the weights of `first`, whose training images validate here."""

    foreign = divided("foreign", *bars((4,) * 7, 1), *bars((4,) * 7, 7))
    made("first", quick(foreign), foreign)
    made("base", quick(tiny, initial="first"), tiny, foreign)
    made("balanced", quick(tiny, smote="base"), tiny)
    data = load_data(quick(tiny))
    assert np.isin(foreign.hashes, trained_on(trained_run(open_run("balanced")), data)).all()
    with pytest.raises(UserError, match="28 of the 28 images that validate this training"):
        forerunners(quick(tiny, initial="balanced"), data)
    made("alone", quick(tiny), tiny)
    assert [run.name for run in forerunners(quick(tiny, smote="alone"), data)] == ["alone"]


def test_settings_and_limits(tiny: Dataset):
    config = with_settings(quick(tiny), {"teachers": "one, two", "distillation": "0.5"})
    assert config.teachers == ("one", "two")
    assert TrainConfig.from_json(config.to_json()) == config
    for changes, words in (
        ({"distillation": 1.2}, "share of the teachers"),
        ({"teachers": tuple("abcdefghi")}, "9 teachers"),
        ({"teachers": ("a",), "smote": "b"}, "SMOTE"),
    ):
        with pytest.raises(UserError, match=words):
            quick(tiny, **changes)


def test_last_keeps_the_last_epoch_after_a_resume_too(tiny: Dataset):
    config = quick(tiny, checkpoint_monitor="last", phases=(Phase(epochs=3, learning_rate=0.01),))
    run = create_run(config.to_json(), name="last")
    assert fit(config, run.directory, should_stop=_after(8)).stopped
    assert fit(config, run.directory).metrics["best_epoch"] == 3
    assert "last epoch" in protocol_card(run).checkpoint
