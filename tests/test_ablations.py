"""An ablation queues every variant over its seeds and reads its table back from the runs."""

import pytest

from fer import ablations
from fer.recipes import recipe_config
from fer.runs import list_runs, record_finished


@pytest.fixture
def queued(monkeypatch):
    """Every run that is handed to the queue, which starts none here."""
    runs = []
    monkeypatch.setattr(ablations, "submit", runs.append)
    return runs


def test_every_variant_is_queued_over_its_seeds_and_differs_in_one_ingredient(queued):
    config = recipe_config("baseline_cnn", "0123456789abcdef")
    identifier = ablations.start(config, seeds=2)
    assert ablations.identifiers() == [identifier]
    rows = ablations.table(identifier)
    assert len(rows) >= 3
    assert all((row.planned, row.finished, row.accuracy) == (2, 0, None) for row in rows)
    assert len(queued) == 2 * len(rows)
    base = [run.train_config() for run in queued[:2]]
    assert base[0].seed != base[1].seed
    assert {run.train_config().augmentation.active for run in queued} == {True, False}
    assert {str(run.train_config().class_weights) for run in queued} == {"none", "balanced"}


def test_the_table_has_mean_interval_and_difference(queued):
    identifier = ablations.start(recipe_config("baseline_cnn", "0123456789abcdef"), seeds=2)
    values = iter([0.50, 0.54, 0.58, 0.62])
    for run in sorted(list_runs(), key=lambda run: run.created)[:4]:
        record_finished(run, {"accuracy": next(values), "macro_f1": 0.4})
    first, second, *_ = ablations.table(identifier)
    assert first.accuracy == pytest.approx(0.52)
    assert first.difference == 0
    assert second.difference == pytest.approx(0.08)
    # Student's t with one degree of freedom: 12.7062 times 0.0283 / sqrt(2)
    assert first.interval == pytest.approx(12.7062 * 0.02, rel=1e-3)
    assert second.macro_f1 == pytest.approx(0.4)
