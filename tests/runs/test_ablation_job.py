"""An ablation whose ingredient is made first, through the queue: its job is real, its trainings are short."""

import numpy as np

from fer import ablation_ingredients, ablations, runs
from fer.data.dataset import open_dataset, save_dataset
from fer.recipes import recipe_config


def test_the_job_makes_the_copy_and_its_trainings_follow_in_the_queue():
    images = np.random.default_rng(0).integers(100, 110, (28, 48, 48)).astype(np.uint8)
    names = [f"image {n}" for n in range(28)]
    dataset = save_dataset("grainy", images, np.arange(28) % 7, np.repeat([0, 2], 14), names)
    config = recipe_config("baseline_cnn", dataset.fingerprint)
    identifier, job = ablation_ingredients.queue(config, ["denoised"], seeds=1)
    ended = runs.wait(job, 90)
    assert ended.state == "finished", job.log_tail(30)
    copy = job.metrics()["denoised"]
    assert open_dataset(copy).meta["denoised_from"] == dataset.fingerprint
    trainings = [run for run in runs.list_runs() if run.kind == "train"]
    for run in trainings:
        assert runs.wait(run, 60).state == "finished", run.log_tail(30)
    assert [run.config["dataset"] == copy for run in trainings].count(True) == 1
    rows = {row.variant: (row.finished, row.planned) for row in ablations.table(identifier)}
    variants = ("as it is", "with class weights", "without augmentation", "denoised")
    assert rows == dict.fromkeys(variants, (1, 1))
