"""Reports: leaks, parts, caching, headline table, seeds, and the protocol card."""

import json
import subprocess
import sys

import numpy as np
import pytest

from fer import storage
from fer.data.dataset import delete_dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import report as reports
from fer.evaluation.predictions import Predictions, evaluate_run, predictions_path
from fer.evaluation.predictions import store_predictions as store
from fer.evaluation.protocol import chosen_epoch, protocol_card
from fer.evaluation.report import best_runs, headline_table, run_report, seed_groups
from fer.evaluation.trained import trained_run
from tests.evaluation.builders import tiny_dataset, tiny_run, write_facts


def answer(run, dataset, split, correct, seed=0):
    """Store predictions for `split`: right exactly where `correct`, with confidence 0.7."""
    run = trained_run(run)
    indices = run.indices(dataset, split)
    labels = dataset.labels[indices].astype(int)
    said = np.where(correct, labels, (labels + 1) % 7)
    probabilities = np.full((len(indices), 7), 0.05, np.float32)
    probabilities[np.arange(len(indices)), said] = 0.7
    codes = np.full(len(indices), 2, np.uint8)
    path = predictions_path(run, dataset.fingerprint)
    store(path, Predictions(indices, probabilities, codes, run.stamp, 0.001, 1000.0))
    return labels, said


def test_leaks_are_counted_against_what_the_run_saw(tmp_path):
    dataset = tiny_dataset(leaks=10)
    run = tiny_run(tmp_path / "run", dataset)
    correct = np.zeros(42, bool)
    correct[:10] = True  # the leaked ones
    correct[10:18] = True
    answer(run, dataset, "test", correct)
    report = run_report(run, compute=False)
    assert report["leaked"] == 10
    assert report["accuracy"] == pytest.approx(18 / 42)
    assert report["accuracy_without_leaks"] == pytest.approx(8 / 32)
    card = protocol_card(run, report)
    assert any("10 of 42 images are pixel-identical" in warning for warning in card.warnings)


def test_leaks_count_in_another_data_set_too(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    same_faces = tiny_dataset("copy", leaks=5, splits=("train", "test"))
    report = run_report(run, same_faces)
    assert report["dataset"] == same_faces.fingerprint
    assert report["leaked"] == 5
    there, here = (protocol_card(run, run_report(run, where)).split for where in (same_faces, dataset))
    assert there == (
        "test, 42 images of copy; trained on another data set, 20% of each class of train for validation"
    )
    assert here == "test, 42 images of tiny; 20% of each class of train for validation"
    own, other = (
        protocol_card(run, run_report(run, where, "train")).warnings for where in (None, same_faces)
    )
    assert any("were trained on" in warning for warning in own)
    assert not any("were trained on" in warning for warning in other)


def test_own_validation_is_compared_with_training_only(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    assert run_report(run, split="validation")["leaked"] == 0
    assert run_report(run, split="train")["accuracy_without_leaks"] is None


def test_parts_of_the_test_split(tmp_path):
    dataset = tiny_dataset(parts=True)
    run = tiny_run(tmp_path / "run", dataset)
    correct = np.arange(42) % 2 == 0  # PublicTest images only
    answer(run, dataset, "test", correct)
    report = run_report(run, compute=False)
    assert report["parts"] == {"PublicTest": 1.0, "PrivateTest": 0.0}
    assert run_report(run, split="PrivateTest", compute=False)["accuracy"] == 0
    assert run_report(run, split="PublicTest", compute=False)["images"] == 21
    with pytest.raises(UserError, match="Unknown split 'PublicTst'"):
        run_report(run, split="PublicTst")


def test_the_report_is_cached_and_outdated_by_a_new_network(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    report = run_report(run)
    assert json.loads((run / "report.json").read_text()) == report
    delete_dataset(dataset.fingerprint)
    assert run_report(run, compute=False) == report  # needs neither data nor network
    tiny_run(run, tiny_dataset(), weights_seed=3)
    assert run_report(run)["log_loss"] != report["log_loss"]


def test_a_removed_data_set_is_explained(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    delete_dataset(dataset.fingerprint)
    with pytest.raises(UserError, match="not imported any more"):
        run_report(run)


def test_not_evaluated_is_said_without_computing(tmp_path):
    run = tiny_run(tmp_path / "run", tiny_dataset())
    with pytest.raises(reports.NotEvaluated, match="not evaluated on split 'test' of data set 'tiny' yet"):
        run_report(run, compute=False)


def test_headline_table_with_a_broken_run_and_the_best_marked(tmp_path):
    dataset = tiny_dataset()
    good, bad = tiny_run(tmp_path / "good", dataset), tiny_run(tmp_path / "bad", dataset)
    answer(good, dataset, "test", np.arange(42) % 3 > 0)
    answer(bad, dataset, "test", np.arange(42) % 3 == 0)
    broken = tiny_run(tmp_path / "broken", dataset)
    (broken / "best.keras").unlink()
    rows = headline_table([good, bad, broken])
    assert rows[0]["accuracy"] == pytest.approx(28 / 42)
    assert rows[0]["parameters"] == 57_527
    assert rows[0]["training_seconds"] == 7.0
    assert rows[0]["latency"] == 0.001
    assert rows[0]["file_size"] > 200_000
    assert "no trained network" in rows[2]["reason"]
    best = best_runs(rows)
    assert best["accuracy"] == ["good"]
    assert best["log_loss"] == ["good"]
    assert best["parameters"] == ["good", "bad"]


def test_runs_that_differ_only_in_seed_are_averaged(tmp_path):
    dataset = tiny_dataset()
    runs = [tiny_run(tmp_path / f"s{seed}", dataset, seed=seed) for seed in range(3)]
    runs.append(tiny_run(tmp_path / "other", dataset, batch_size=8))
    for number, run in enumerate(runs):
        answer(run, dataset, "test", np.arange(42) < 10 * (number + 1))
    (group,) = seed_groups(runs, headline_table(runs))
    assert group["runs"] == ["s0", "s1", "s2"]
    assert group["mean"]["accuracy"] == pytest.approx(20 / 42)
    assert group["std"]["accuracy"] == pytest.approx(10 / 42)


def test_protocol_card_of_a_plain_run(tmp_path):
    run = tiny_run(tmp_path / "run", tiny_dataset())
    card = protocol_card(run)
    assert "highest val_accuracy on the validation split, epoch 2 of 3" in card.checkpoint
    assert chosen_epoch(run)["val_accuracy"] == 0.35
    for settled in (False, True):
        storage.write_json(tmp_path / "run" / "best.json", {"epoch": 2, "settled": settled})
        assert ("BatchNorm" in protocol_card(run).checkpoint) == settled
    assert card.pretraining.startswith("none")
    assert card.exclusions == []
    assert card.warnings == []
    assert json.dumps(card.to_json())


def test_protocol_card_tells_what_to_be_careful_about(tmp_path):
    dataset = tiny_dataset()
    kept = tuple(name for name in EMOTIONS if name != "disgust")
    run = tiny_run(
        tmp_path / "run", dataset, classes=kept, selection="clean", checkpoint_monitor="val_loss", limit=500,
        model_options={"weights": "imagenet"},
    )  # fmt: skip
    splits = dict(np.load(run / "splits.npz"))
    splits["validation"] = splits["test"][:4]
    np.savez(run / "splits.npz", **splits)
    (run / "hashes.npy").unlink()
    card = protocol_card(run)
    assert "lowest val_loss" in card.checkpoint
    assert "ImageNet" in card.pretraining
    assert "without the class disgust" in card.exclusions
    assert any("'clean'" in line for line in card.exclusions)
    assert any("500" in line for line in card.exclusions)
    assert any(line.startswith("4 test images were trained or validated on") for line in card.warnings)
    assert any("leaked images cannot be counted" in line for line in card.warnings)
    assert any("Fewer classes" in line for line in card.warnings)


def test_pretraining_is_the_models_default_unless_changed(tmp_path):
    dataset = tiny_dataset()
    backbone = write_facts(tmp_path / "a", dataset, model="resnet50")
    scratch = write_facts(tmp_path / "b", dataset, model="resnet50", model_options={"weights": None})
    smote = write_facts(tmp_path / "c", dataset, smote="first try")
    assert "ImageNet" in protocol_card(backbone).pretraining
    assert protocol_card(scratch).pretraining.startswith("none")
    assert "'first try'" in protocol_card(smote).pretraining


def test_too_good_to_be_true_is_said(tmp_path):
    dataset = tiny_dataset(parts=True)
    run = tiny_run(tmp_path / "run", dataset)
    answer(run, dataset, "test", np.ones(42, bool))
    card = protocol_card(run, run_report(run, compute=False))
    assert any("look for a leak" in line for line in card.warnings)
    assert any("Only 42 images" in line for line in card.warnings)
    meta = dataset.directory / "meta.json"
    meta.write_text(meta.read_text().replace('"source": ""', '"source": "demo"'))
    easier = protocol_card(run, run_report(run, compute=False))
    assert not any("look for a leak" in line for line in easier.warnings)


def test_comparing_stored_runs_needs_no_tensorflow(tmp_path, cache):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    evaluate_run(run)
    code = (
        "import sys; from fer.evaluation import comparison, report, protocol\n"
        f"rows = report.headline_table([{str(run)!r}])\n"
        f"protocol.protocol_card({str(run)!r})\n"
        "assert 'accuracy' in rows[0], rows\n"
        "assert not {'tensorflow', 'keras', 'streamlit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
