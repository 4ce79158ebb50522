"""SMOTE in feature space: balanced classes, only the last layer changes, no foreign images."""

from pathlib import Path

import numpy as np
import pytest

from fer.data.dataset import Dataset
from fer.data.selection import mark
from fer.errors import UserError
from fer.models import MODELS
from fer.models.loading import load_model
from fer.runs import create_run, record_finished
from fer.runs.run import Run
from fer.storage import read_json, write_json
from fer.training.config import Phase
from fer.training.fit import fit
from fer.training.smote import balance, check_base
from tests.training.conftest import quick


def test_balanced_rows_lie_between_neighbours():
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 3)).astype(np.float32)
    labels = np.repeat([0, 1], [32, 8])
    rows, classes = balance(features, labels, 1)
    assert np.bincount(classes).tolist() == [32, 32]
    np.testing.assert_array_equal(rows[:40], features)
    made = rows[40:]
    low, high = features[labels == 1].min(axis=0), features[labels == 1].max(axis=0)
    assert ((made >= low - 1e-6) & (made <= high + 1e-6)).all()
    with pytest.raises(UserError, match="at least 2"):
        balance(features[:33], np.repeat([0, 1], [32, 1]), 1)


def test_only_the_last_layer_is_trained(tiny: Dataset):
    config = quick(tiny)
    base = create_run(config.to_json(), name="base")
    fit(config, base.directory)
    record_finished(base)
    second = quick(tiny, smote="base", phases=(Phase(epochs=2, learning_rate=0.01),))
    run = create_run(second.to_json(), name="smote")
    assert fit(second, run.directory).metrics["epochs"] == 2
    before = load_model(base.directory / "best.keras")
    after = load_model(run.directory / "best.keras")
    for one, other in zip(before.layers, after.layers, strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
        assert same == (one.name != "logits"), one.name


def finished(dataset: Dataset, environment: dict | None = None, **changes: object) -> Run:
    """A run `base` that is done, as far as its settings say."""

    def fill(folder: Path) -> None:
        write_json(folder / "environment.json", environment or {})

    return create_run(quick(dataset, **changes).to_json(), name="base", fill=fill)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 20}, "setting limit is None and not 20"),
        ({"model_options": {"dropout": 0.1}}, r"setting model_options is \{'dropout': 0.*0.1"),
    ],
)
def test_another_split_or_network_is_refused(tiny: Dataset, tmp_path: Path, changes: dict, message: str):
    finished(tiny)
    with pytest.raises(UserError, match=message):
        fit(quick(tiny, smote="base", **changes), tmp_path / "other")


def test_options_that_make_no_other_network_are_the_same(tiny: Dataset):
    option, default = next(iter(MODELS["resnet_se"].options.items()))
    finished(tiny, model="resnet_se", model_options={option: default})
    check_base(quick(tiny, smote="base", model="resnet_se"), "")
    config = quick(tiny, smote="base", model="resnet_se", model_options={option: [1, 2]})
    with pytest.raises(UserError, match="model_options"):
        check_base(config, "")


def test_a_base_that_did_not_finish_is_refused(tiny: Dataset):
    base = create_run(quick(tiny).to_json(), name="base")
    with pytest.raises(UserError, match="is stopped and not finished"):
        check_base(quick(tiny, smote="base"), "")
    record_finished(base)
    check_base(quick(tiny, smote="base"), "")


def test_a_base_from_before_selections_had_versions_is_compared_by_the_one_it_used(tiny: Dataset):
    mark(tiny, "clean", [0], "drop")
    base = finished(tiny, {"selection": "clean@1"}, selection="clean")
    content = read_json(base.directory / "config.json")
    content["config"]["selection"] = "clean"
    write_json(base.directory / "config.json", content)
    config = quick(tiny, smote="base", selection="clean@1")
    check_base(config, "clean@1")
    with pytest.raises(UserError, match="setting selection is 'clean@1' and not 'clean@2'"):
        check_base(config, "clean@2")
