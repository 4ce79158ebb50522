"""Batches made ahead: the same values in the same order, one step early, errors where they belong."""

import threading

import pytest

from fer.training.ahead import ahead


def test_values_and_steps_are_those_of_a_plain_loop() -> None:
    assert list(ahead(lambda step: step * step, 2, 6)) == [(2, 4), (3, 9), (4, 16), (5, 25)]
    assert list(ahead(lambda step: step, 3, 3)) == []


def test_the_next_step_is_made_while_the_caller_works() -> None:
    made = [threading.Event() for _ in range(3)]

    def make(step: int) -> int:
        made[step].set()
        return step

    steps = ahead(make, 0, 3)
    assert next(steps) == (0, 0)
    assert made[1].wait(5)  # without being asked for
    assert not made[2].is_set()  # and no further: memory holds two batches
    steps.close()


def test_an_error_comes_with_the_step_it_belongs_to() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("the batch of step 2")
        return step

    steps = ahead(make, 0, 5)
    assert [next(steps), next(steps)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="step 2"):
        next(steps)
