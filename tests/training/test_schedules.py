"""Learning rates at known positions, and the rules that watch a figure."""

import math

import pytest

from fer.training.phase import Phase
from fer.training.schedules import Plateau, Watch, learning_rate, step_rate


def test_constant_with_warm_up():
    phase = Phase(epochs=10, learning_rate=0.1, warmup_epochs=2)
    assert [learning_rate(phase, p) for p in (0, 0.5, 1, 2, 9.9)] == pytest.approx([0, 0.025, 0.05, 0.1, 0.1])


def test_cosine_falls_from_the_warm_up_to_the_minimum():
    phase = Phase(
        epochs=11, learning_rate=0.1, schedule="cosine", warmup_epochs=1, minimum_learning_rate=0.02
    )
    assert learning_rate(phase, 1) == pytest.approx(0.1)
    assert learning_rate(phase, 6) == pytest.approx(0.06)
    assert learning_rate(phase, 1 + 10 / 3) == pytest.approx(0.02 + 0.08 * (1 + math.cos(math.pi / 3)) / 2)
    assert learning_rate(phase, 11) == pytest.approx(0.02)


def test_one_cycle_rises_for_three_tenths():
    phase = Phase(epochs=10, learning_rate=1.0, schedule="onecycle")
    assert learning_rate(phase, 0) == pytest.approx(1 / 25)
    assert learning_rate(phase, 3) == pytest.approx(1.0)
    assert learning_rate(phase, 10) == pytest.approx(1e-4)
    assert learning_rate(phase, 1.5) == pytest.approx((1 + 1 / 25) / 2)


def test_plateau_lowers_after_patience_and_stops_at_the_floor():
    phase = Phase(
        epochs=20,
        learning_rate=1e-3,
        schedule="plateau",
        plateau_factor=0.5,
        plateau_patience=2,
        minimum_learning_rate=4e-4,
    )
    plateau = Plateau(Watch())
    rates = []
    for loss in (1.0, 0.9, 0.9, 0.89995, 0.9, 0.9, 0.5):  # less than 1e-4 better is no improvement
        plateau.update(phase, loss)
        rates.append(learning_rate(phase, 3, plateau.scale))
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 4e-4, 4e-4])


def test_steps_are_taken_at_their_middle():
    phase = Phase(epochs=2, learning_rate=1.0, warmup_epochs=1)
    assert step_rate(phase, 0, 0, 10) == pytest.approx(0.05)
    assert step_rate(phase, 0, 9, 10) == pytest.approx(0.95)
    assert step_rate(phase, 1, 0, 10) == 1.0


def test_watch_counts_epochs_without_improvement():
    watch = Watch()
    seen = [watch.improved(value, "val_accuracy") for value in (0.5, 0.4, 0.5, float("nan"), 0.6)]
    assert seen == [True, False, False, False, True]
    assert (watch.best, watch.wait) == (0.6, 0)
    assert Watch(best=1.0).improved(0.9, "val_loss")
