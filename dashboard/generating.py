"""The parts of the Generate page that train a generator and draw with it."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, jobs, live, panels, state
from fer.data.splits import SplitConfig
from fer.emotions import EMOTIONS
from fer.generation.config import RECIPE, DiffusionConfig
from fer.generation.dataset import accept
from fer.generation.generators import KIND, generator_runs, origins
from fer.generation.quality import judge, near_distance, nearest
from fer.generation.schedule import METHODS
from fer.runs import Run, list_runs, statuses

if TYPE_CHECKING:
    from fer.generation.sampling import Samples

SECONDS_PER_IMAGE = 0.03  # of training on two cores; replaced by what the newest run here took
NEAREST = 2
FEW = 50  # faces on a side, below which the figures are mostly chance
MEASURES = {
    "frechet": "Fréchet distance ↓",
    "kernel": "Kernel distance ↓",
    "precision": "Precision ↑",
    "recall": "Recall ↑",
    "agreement": "Classifier agrees ↑",
    "near_copies": "Near-copies ↓",
}


def watch() -> None:
    """Generators that are being trained, live."""
    runs = [run for run in list_runs() if run.kind == KIND]
    known = statuses(runs)
    for run in [run for run in runs if known[run.id].active][:3]:
        with st.container(border=True):
            st.markdown(f"**{panels.plain(run.name)}**")
            live.show(run.id)


def choose_run() -> Run | None:
    """The generator, kept in the address; without one, the form that trains it."""
    runs = {run.id: run for run in generator_runs()}
    if not runs:
        st.info(
            "No generator yet. Train one on the class with the fewest images; it goes on in the background, "
            "and the page shows what it draws meanwhile.",
            icon=":material/play_circle:",
        )
        training_form()
        return None
    chosen = st.selectbox(
        "Generator",
        list(runs),
        format_func=lambda i: f"{runs[i].name} · {', '.join(runs[i].config.get('classes', []))}",
        key=state.GENERATOR,
        bind="query-params",
        persist_state="session",
    )
    return runs[chosen]


def training_form() -> None:
    """What to train a generator on, and how long that takes here."""
    dataset = panels.choose_dataset()
    if dataset is None:
        return
    with st.container(border=True):
        classes = st.multiselect(
            "Expressions to learn",
            EMOTIONS,
            default=["disgust"],
            help="One: as study A did, without guidance. Several: one network that is told which, so that "
            "the rare ones borrow from the others; each is then shown equally often.",
        )
        left, middle, right, last = st.columns(4)
        epochs = left.number_input("Epochs", 1, 10_000, 100)
        seed = middle.number_input("Seed", 0, 2**31 - 1, 0, key="generator-seed")
        schedule = right.selectbox("Noise schedule", ["cosine", "linear"])
        share = last.number_input(
            "Validation share (%)",
            5,
            50,
            20,
            key="generator-share",
            help="Faces of train it does not learn from. Give it the share of the classifiers that are to "
            "judge its faces or train on them, because what validates those must be new to it: 20 in the "
            "studies' recipes, 10 in resnet_se, vgg and cct.",
        )
        if not classes:
            st.warning("Choose at least one expression.")
            return
        counts = dataset.counts().get("train", {})
        images = int((1 - share / 100) * sum(counts.get(name, 0) for name in classes))
        seconds = images * epochs * _seconds_per_image()
        st.caption(
            f"About {images:,} training images; on this machine about {panels.duration(seconds)}. The images "
            "that validate classifiers are left out, so that what is drawn can be used for their training."
        )
        config = {
            "dataset": dataset.fingerprint,
            "classes": classes,
            "split": SplitConfig(validation_fraction=share / 100).to_json(),
            "epochs": int(epochs),
            "seed": int(seed),
            "schedule": schedule,
            "samples_every": max(1, int(epochs) // 10),
        }
        if st.button("Train the generator", type="primary", icon=":material/play_arrow:"):
            with panels.errors_shown():
                jobs.start(KIND, DiffusionConfig.from_json(config).to_json(), RECIPE)
                st.rerun()  # the page shows it above


def _seconds_per_image() -> float:
    for run in list_runs():
        history = cached.history(run.directory) if run.kind == KIND else pd.DataFrame()
        if "images_per_second" in history and len(history):
            return 1 / max(float(history["images_per_second"].iloc[-1]), 1e-9)
    return SECONDS_PER_IMAGE


def draw(run: Run) -> "Samples | None":
    """The form, and what was drawn last with this generator."""
    config = DiffusionConfig.from_json(run.config)
    with st.form("draw", border=True):
        fields = st.grid(3, min_column_width=220)  # in this order on a phone too
        emotion = fields.selectbox("Expression", config.classes)
        count = fields.number_input("Faces", 1, 256, 16)
        seed = fields.number_input("Seed", 0, 2**31 - 1, 0, help="The same seed draws the same faces.")
        steps = fields.slider(
            "Steps", 5, config.timesteps, min(50, config.timesteps), help="DDIM needs 25 to 50"
        )
        method = fields.selectbox("Method", METHODS, format_func=str.upper)
        guidance = fields.slider(
            "Guidance",
            0.0,
            8.0,
            2.0 if config.conditional else 1.0,
            0.5,
            disabled=not config.conditional,
            help="Above 1 the expression is exaggerated and the faces get more alike. "
            "A generator of one expression has none.",
        )
        finished = (run.directory / "last.keras").exists()
        weights = st.radio(
            "Weights",
            ["best", "last"] if finished else ["best"],
            horizontal=True,
            help="best: the epoch with the lowest loss on images it did not learn from; last: the last one.",
        )
        wanted = st.form_submit_button("Draw", type="primary", icon=":material/brush:")
    asked = (run.id, weights, emotion, int(count), int(seed), int(steps), method, float(guidance))
    if wanted:
        with panels.errors_shown():
            bar = st.progress(0.0, text="Preparing …")
            generator = cached.generator(run, weights)
            drawn = generator.sample(
                emotion,
                int(count),
                seed=int(seed),
                steps=int(steps),
                guidance=float(guidance),
                method=method,
                progress=lambda fraction, text: bar.progress(min(fraction, 1.0), text=text),
            )
            bar.empty()
            st.session_state[state.DRAWN] = (asked, drawn)
    last = st.session_state.get(state.DRAWN)
    if last is None or last[0][0] != run.id:
        st.info("Press **Draw**; 16 faces in 50 steps take a few seconds to half a minute.")
        return None
    return last[1]


def grid(run: Run, samples: "Samples") -> None:
    """Each generated face with the training images it is nearest to, so that copying is visible."""
    training = cached.generator(run, "best").training_images(samples.classes[0])
    order, distances = nearest(training, samples.images, min(NEAREST, len(training)))
    limit = near_distance(training) if len(training) > 2 else 0.0
    cells: list[np.ndarray] = []
    captions: list[str] = []
    tones: list[str] = []
    for n, image in enumerate(samples.images):
        cells.append(image)
        captions.append(f"{n + 1}. generated")
        tones.append("bad" if distances[n, 0] < limit else "")
        for place, distance in zip(order[n], distances[n], strict=True):
            cells.append(training[place])
            captions.append(f"real, {distance:.0f} away")
            tones.append("")
    each = 1 + order.shape[1]
    panels.faces(cells, captions, tones=tones, columns=3 * each, name="generated", narrow=each)
    st.caption(
        f"Beside each generated face stand the training images it is nearest to (root mean square difference "
        f"of the pixels, mirrored or not). Below {limit:.0f}, nearer than 95 % of the training images are to "
        "each other, a face has a red border: it is all but a copy."
    )


def trajectory(samples: "Samples") -> None:
    """How one face came out of the noise."""
    st.subheader("Out of the noise", anchor=False)
    chosen = st.number_input("Face", 1, len(samples.images), 1)
    frames = samples.trajectory[:, int(chosen) - 1]
    steps = samples.settings["steps"]
    length = -(-steps // 10)
    captions = ["noise", *(f"step {min((n + 1) * length, steps)}" for n in range(len(frames) - 1))]
    panels.faces(list(frames), captions, size=72)


def accepting(run: Run, samples: "Samples") -> None:
    """Accept faces into a set; the others are not kept."""
    st.subheader("Accept or reject", anchor=False)
    numbers = list(range(1, len(samples.images) + 1))
    chosen = st.pills("Faces to accept", numbers, selection_mode="multi", key="accepted-numbers")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    name = left.text_input("Set of generated faces", f"generated {samples.classes[0]}")
    everything = right.checkbox("All of them")
    picked = numbers if everything else list(chosen or [])
    if st.button(f"Accept {len(picked)} faces", disabled=not picked, icon=":material/add:"):
        with panels.errors_shown():
            places = [number - 1 for number in picked]
            made = accept(
                name,
                run,
                samples.images[places],
                [samples.classes[place] for place in places],
                origins(samples, places),
            )
            st.success(
                f"{panels.plain(made.reference)} holds {len(made)} generated faces now. They can train a "
                "classifier; they never validate or test one."
            )


def quality(run: Run, samples: "Samples") -> None:
    """Figures of the faces beside those of real ones, by the features of a trained classifier."""
    st.subheader("How good are they?", anchor=False)
    judges = {r.id: r for r in list_runs() if r.kind == "train" and (r.directory / "best.keras").exists()}
    fitting = {
        i: r
        for i, r in judges.items()
        if all(r.config.get(name) == run.config.get(name) for name in ("dataset", "split"))
    }
    if not fitting:
        st.info(
            "To measure them, a classifier trained on the same data set, divided in the same way, is needed: "
            "faces that are new to both."
        )
        panels.go_to("train", "Train a network")
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.selectbox("Judged by", list(fitting), format_func=lambda i: fitting[i].name)
    if not right.button("Measure", icon=":material/straighten:"):
        return
    with panels.errors_shown(), st.spinner("Measuring …"):
        found = judge(run, samples.images, samples.classes, fitting[chosen])
        rows = [
            {"measure": title, "generated": found.generated[key], "real against real": found.real[key]}
            for key, title in MEASURES.items()
        ]
        three = st.column_config.NumberColumn(format="%.3f")
        columns = dict.fromkeys(("generated", "real against real"), three)
        panels.table(pd.DataFrame(rows), "generated-quality", column_config=columns)
        st.caption(
            f"{found.samples} generated faces; {found.compared} on each side of a comparison with "
            f"{found.held_out} held-out real ones. ↓ lower is better, ↑ higher is better; as good as "
            "the column beside it is as good as real."
        )
        if found.compared < FEW:
            st.warning(
                f"With {found.compared} faces on a side, these figures say little, precision and recall "
                f"least of all. Draw {FEW} or more."
            )
    panels.note(
        "**Fréchet** and **kernel distance** compare the two clouds of features (Heusel et al. 2017, "
        "Bińkowski et al. 2018). **Precision**: the share of generated faces among the real ones; "
        "**recall**: the share of real faces among the generated ones (Kynkäänniemi et al. 2019). "
        "**Near-copies**: faces nearer to a training image than 95 % of the training images are to each "
        "other. Few faces make the distances larger: compare only with the column beside."
    )
