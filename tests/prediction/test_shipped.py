"""The starter in this repository: what its card claims is measured again, and it holds no image."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fer import cli
from fer.data.demo import draw_photo
from fer.emotions import EMOTIONS
from fer.evaluation.calibration import expected_calibration_error
from fer.evaluation.trained import TrainedRun
from fer.models.loading import load_model
from fer.prediction import Predictor
from fer.prediction.packaging import read_card
from fer.reproduce import command_line
from fer.runs import open_run
from fer.training.config import TrainConfig
from tests.prediction.corpus import encode

LARGEST = 6_000_000


def test_it_is_small_whole_and_its_card_describes_it(shipped: Path):
    card = read_card(shipped)
    assert sum(path.stat().st_size for path in shipped.iterdir()) <= LARGEST
    assert card["file_bytes"] == (shipped / "best.keras").stat().st_size
    assert card["parameters"] == load_model(shipped / "best.keras").count_params()
    config = TrainConfig.from_json(json.loads((shipped / "config.json").read_text())["config"])
    assert card["command"] == command_line(config)
    text = (shipped / "MODEL_CARD.md").read_text()
    assert named_by(card["command"]) == {config.initial, *config.teachers} - {""}
    made, used = [], set()
    for command in (*card["built_on"], card["command"]):  # each after what it starts from or learns of
        assert named_by(command) <= set(made), command
        used |= named_by(command)
        made += re.findall(r"--name (.+)$", command.replace("'", ""))
    assert used == set(made)
    assert all(command in text for command in (*card["built_on"], card["command"]))
    score = card["scores"]["PublicTest"]
    for claimed in (score["accuracy"], score["accuracy_without_leaks"], *score["interval"]):
        assert f"{claimed:.1%}" in text


def named_by(command: str) -> set[str]:
    """The runs whose weights and answers a training command asks for."""
    settings = dict(
        word.split("=", 1) for word in shlex.split(command) if re.match(r"(initial|teachers)=", word)
    )
    return {settings.get("initial", ""), *json.loads(settings.get("teachers", "[]"))} - {""}


def test_its_scores_are_those_of_the_real_images(shipped: Path, real_dataset):
    """Within what another processor may turn; 280 of the 3,589 images are leaked, and it knows which."""
    score = read_card(shipped)["scores"]["PublicTest"]
    indices = real_dataset.indices("PublicTest")
    labels = np.asarray(real_dataset.labels)[indices]
    answers = Predictor([open_run("starter")]).predict_crops(real_dataset.images[indices])[0]
    right = answers.argmax(axis=1) == labels
    leaked = TrainedRun(shipped).leaked(real_dataset, indices, "PublicTest")
    assert int(leaked.sum()) == score["leaked"] == 280
    # Another processor may turn a handful of near ties.
    assert right.mean() == pytest.approx(score["accuracy"], abs=5 / len(labels))
    assert right[~leaked].mean() == pytest.approx(score["accuracy_without_leaks"], abs=5 / len(labels))
    assert right.mean() >= 0.675
    assert expected_calibration_error(labels, answers) <= 0.04
    for number, emotion in enumerate(EMOTIONS):
        assert right[labels == number].mean() == pytest.approx(score["recall"][emotion], abs=0.02)


def test_it_holds_no_face(shipped: Path, real_dataset):
    content = b""
    for path in shipped.iterdir():
        content += path.read_bytes()
        if path.suffix in (".npz", ".keras"):
            with zipfile.ZipFile(path) as archive:
                content += b"".join(archive.read(name) for name in archive.namelist())
    for index in np.random.default_rng(0).integers(0, len(real_dataset), 300):
        image = real_dataset.images[index]
        for row in image[10:38:9]:
            assert row.tobytes() not in content or len(set(row.tolist())) < 8


def test_a_newcomer_predicts_without_having_trained(shipped: Path, tmp_path: Path, capsys):
    photo = tmp_path / "two.png"
    photo.write_bytes(encode(draw_photo(3, 900, 600, faces=2)[0], "PNG"))
    assert cli.main(["predict", str(photo), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert len(answer["faces"]) == 2
    for face in answer["faces"]:
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)
