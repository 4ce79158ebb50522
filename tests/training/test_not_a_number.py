"""A training whose weights are ruined by its very last step still says so, and what to do."""

import pytest

from fer.data.dataset import Dataset
from fer.training.config import Phase, with_settings
from fer.training.errors import NotANumber
from fer.training.fit import fit
from tests.training.conftest import quick


def test_the_last_step_of_all(tiny: Dataset, tmp_path, monkeypatch):
    def rate(phase, epoch, step, steps, scale):
        return float("nan") if step == steps - 1 else 1e-3

    monkeypatch.setattr("fer.training.fit.step_rate", rate)
    config = quick(tiny, phases=(Phase(epochs=1),))
    with pytest.raises(NotANumber, match="epoch 1, in validation after step 4 of 4") as caught:
        fit(config, tmp_path / "run")
    assert with_settings(config, caught.value.settings).phases[0].learning_rate == 1e-4
    assert not (tmp_path / "run" / "best.keras").exists()
