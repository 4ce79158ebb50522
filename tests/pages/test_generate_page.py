"""The Generate page: from nothing to a generator, from a seed to faces, from faces to a set."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.generation.config import DiffusionConfig
from fer.generation.dataset import accept, list_sets, open_set
from fer.runs import Run, create_run, open_run, run_here
from fer.runs.run import runs_directory
from tests.pages.conftest import open_page
from tests.pages.test_interactions import by_label


@pytest.fixture
def submitted(monkeypatch) -> list[Run]:
    """Runs that the page handed to the queue, which does not start them here."""
    runs: list[Run] = []
    for place in ("dashboard.jobs", "fer.ablations", "fer.runs"):
        monkeypatch.setattr(f"{place}.submit", runs.append)
    return runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Where the folder of the generator's run is kept between tests; empty before the first."""
    return tmp_path_factory.mktemp("generator")


@pytest.fixture
def generator(demo_dataset, trained: Path) -> Run:
    """A generator of two epochs, trained once: it draws, if nothing one would call a face."""
    for folder in trained.iterdir():
        shutil.copytree(folder, runs_directory() / folder.name)
        return open_run(folder.name)
    config = DiffusionConfig(
        demo_dataset.fingerprint,
        epochs=2,
        limit=16,
        widths=(8, 8),
        timesteps=50,
        samples_every=1,
        precision="float32",
        device="cpu",
    )
    run = create_run(config.to_json(), kind="diffusion", name="tiny generator")
    run_here(run)
    assert run.status().state == "finished", run.log_tail()
    shutil.copytree(run.directory, trained / run.id)
    return run


def test_without_a_generator_the_page_trains_one(demo_dataset, submitted):
    page = open_page("generate")
    assert any("No generator yet" in info.value for info in page.info)
    assert by_label(page.multiselect, "Expressions").value == ["disgust"]
    by_label(page.number_input, "Epochs").set_value(3)
    by_label(page.button, "Train the generator").click()
    page.run()
    assert not page.exception
    (run,) = submitted
    config = DiffusionConfig.from_json(run.config)
    assert (run.kind, config.epochs, config.classes) == ("diffusion", 3, ("disgust",))
    assert config.dataset == demo_dataset.fingerprint


def test_faces_are_drawn_accepted_and_put_to_the_question(generator, submitted):
    page = open_page("generate")
    by_label(page.number_input, "Faces").set_value(3)
    by_label(page.slider, "Steps").set_value(5)
    by_label(page.button, "Draw").click()
    page.run()
    assert not page.exception
    assert not page.error
    shown = "".join(block.proto.body for block in page.get("html"))
    assert shown.count("generated</figcaption>") == 3
    assert "real, " in shown
    by_label(page.checkbox, "All of them").set_value(True)
    page.run()
    by_label(page.button, "Accept 3").click()
    page.run()
    made = open_set("generated disgust")
    assert made.counts() == {"disgust": 3}
    assert made.origins[2]["number"] == 2
    by_label(page.button, "Queue the comparison").click()
    page.run()
    assert not page.exception
    assert len(submitted) == 15  # five variants, three seeds
    assert {run.train_config().generated for run in submitted} == {"", "generated disgust@1"}
    page.run()
    assert any(frame.value.shape[0] == 5 for frame in page.dataframe)


def test_the_train_page_adds_a_set_and_divides_as_its_generator_did(demo_dataset, submitted):
    split = SplitConfig(validation_fraction=0.3)
    config = DiffusionConfig(demo_dataset.fingerprint, split=split)
    other = create_run(config.to_json(), kind="diffusion")
    faces = np.stack([np.full((48, 48), value, np.uint8) for value in (9, 99)])
    accept("mine", other, faces, ["disgust"] * 2, [{}, {}])
    page = open_page("train")
    sets = by_label(page.selectbox, "Generated faces")
    assert list(sets.options) == ["none", "mine: 2 disgust"]
    sets.set_value("mine")
    by_label(page.button, "Start training").click()
    page.run()
    assert not page.exception
    trained = submitted[0].train_config()
    assert (trained.generated, trained.split) == ("mine@1", split)


def test_the_runs_page_shows_what_it_drew_while_it_learned(generator):
    page = open_page("runs", run=generator.id)
    assert not page.exception
    assert len(list((generator.directory / "samples").iterdir())) == 2
    assert any("same noise" in caption.value for caption in page.caption)
    assert list_sets() == []
    assert EMOTIONS[1] == generator.config["classes"][0]
