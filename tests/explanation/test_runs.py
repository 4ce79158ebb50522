"""Explanations of a run are computed once, kept with the run, and outdated by a new network."""

import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation.predictions import load_network
from fer.explanation import explain, explain_run, mean_explanation
from fer.explanation.runs import strip_order
from tests.evaluation.builders import tiny_dataset, tiny_run


def forbidden():
    pytest.fail("the result is stored")


def test_a_result_is_kept_with_the_run(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    first = explain_run(run, dataset, 3, "Grad-CAM", target="sad")
    again = explain_run(run, dataset, 3, "gradcam", target="sad", model=forbidden)
    assert np.array_equal(first.heatmap, again.heatmap)
    assert first.probabilities == again.probabilities
    assert (again.method, again.layer, again.target) == ("gradcam", "block3_conv", "sad")
    direct = explain(load_network(run), dataset.images[3], target="sad")
    assert again.heatmap == pytest.approx(direct.heatmap, abs=1e-5)
    for changed in ({"target": "fear"}, {"layer": "block1_conv"}, {"method": "layercam"}):
        settings = {"method": "gradcam", "target": "sad"} | changed
        with pytest.raises(pytest.fail.Exception):
            explain_run(run, dataset, 3, model=forbidden, **settings)
    with pytest.raises(pytest.fail.Exception):
        explain_run(run, dataset, 4, target="sad", model=forbidden)


def test_a_new_network_and_a_damaged_file_outdate_it(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    first = explain_run(run, dataset, 0, target="sad")
    (stored,) = (run / "explanations").iterdir()
    stored.write_bytes(stored.read_bytes()[:100])
    assert np.array_equal(explain_run(run, dataset, 0, target="sad").heatmap, first.heatmap)
    tiny_run(run, dataset, weights_seed=9)
    assert not np.array_equal(explain_run(run, dataset, 0, target="sad").heatmap, first.heatmap)


def test_a_run_with_six_classes(tmp_path):
    dataset = tiny_dataset()
    kept = tuple(name for name in EMOTIONS if name != "disgust")
    run = tiny_run(tmp_path / "run", dataset, classes=kept)
    found = explain_run(run, dataset, 0, target="surprise")
    assert list(found.probabilities) == list(kept)
    with pytest.raises(UserError, match="Unknown class 'disgust'"):
        explain_run(run, dataset, 0, target="disgust")


def test_the_mean_map_of_an_emotion(tmp_path):
    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    found = mean_explanation(run, dataset, "fear", images=4)
    assert found["images"] == 4
    assert found["heatmap"].shape == (48, 48)
    assert sum(found["shares"].values()) == pytest.approx(1)
    stored = mean_explanation(run, dataset, "fear", images=4, model=forbidden)
    assert np.array_equal(stored["heatmap"], found["heatmap"])
    network = load_network(run)
    fearful = [i for i in dataset.indices("test") if dataset.labels[i] == 2]
    maps = [explain(network, dataset.images[i], target="fear").heatmap for i in fearful]
    everyone = mean_explanation(run, dataset, "fear", images=6)
    assert everyone["heatmap"] == pytest.approx(np.mean(maps, axis=0), abs=1e-4)


def test_the_strip_shows_the_odd_one_out_first(tmp_path):
    from fer.explanation import Explanation

    def said(p):
        return Explanation(np.zeros((48, 48)), "gradcam", "", "sad", {"sad": p, "fear": 1 - p})

    assert strip_order([said(0.9), said(0.8), said(0.1)])[0] == 2


def test_pictures_of_the_classes_are_made_in_the_background(tmp_path, monkeypatch):
    import fer.runs
    from fer.explanation import job
    from fer.explanation.runs import class_picture

    dataset = tiny_dataset()
    run = tiny_run(tmp_path / "run", dataset)
    monkeypatch.setattr(fer.runs, "open_run", lambda key: run)
    monkeypatch.setattr(job, "STEPS", 15)
    assert class_picture(run, "happy") is None
    config, seen = {"run": "run", "targets": ["happy", "sad"]}, []
    asked = iter([False] * 20 + [True] * 100)
    stopped = job.run(config, tmp_path, lambda f, text: seen.append(f), lambda: next(asked))
    assert stopped == {"stopped": True, "metrics": {"pictures": 1}}
    assert class_picture(run, "sad") is None
    done = job.run(config, tmp_path, lambda f, text: seen.append(f), lambda: False)
    assert done == {"stopped": False, "metrics": {"pictures": 2}}
    assert seen[-1] == 1
    picture = class_picture(run, "happy")
    grey = np.asarray(load_network(run)(np.full((1, 48, 48, 1), 0.5, np.float32)))[0]
    assert picture.confidence > grey[3]
