"""Explain beyond one face: class averages, feature and attention maps, ideal pictures."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, controls, jobs, panels, result_charts
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.explanation import area_shares, mean_explanation, overlay
from fer.runs import Run


def classes_of(run: Run) -> tuple[str, ...]:
    """The classes of the network's outputs."""
    return tuple(run.config.get("classes") or EMOTIONS)


def average(dataset: Dataset, runs: list[Run]) -> None:
    """Mean map of each expression and model, and the share of heat on eyes, mouth and border."""
    method, _, opacity, layer = controls.explanation_options(runs, target=False)
    count = st.slider("Images per expression", 4, 64, 16, 4)
    rows = []
    for run in runs:
        st.markdown(f"**{panels.plain(run.name)}**")
        bar = st.progress(0.0, text="Computing mean maps …")
        pictures, names = [], []
        for number, emotion in enumerate(classes_of(run)):
            bar.progress(number / len(classes_of(run)), text=f"Mean map of {emotion} …")
            try:
                found = mean_explanation(
                    run.directory,
                    dataset,
                    emotion,
                    method,
                    layer,
                    count,
                    model=cached.model(run.directory),
                )
            except UserError as error:
                st.warning(panels.plain(error))
                continue
            faces, _, known = cached.class_faces(dataset.fingerprint)
            background = faces[known.index(emotion)] if emotion in known else np.full((48, 48), 128, np.uint8)
            pictures.append(overlay(background, found["heatmap"], opacity, scale=4))
            names.append(f"{emotion}\n{found['images']} images")
            shares = {f"{part} (%)": 100 * share for part, share in found["shares"].items()}
            rows.append({"run": run.name, "expression": emotion, **shares})
        bar.empty()
        panels.faces(pictures, names, size=120)
    even = {f"{part} (%)": 100 * share for part, share in area_shares().items()}
    rows.append({"run": "even heat", "expression": "any", **even})
    decimals = {name: st.column_config.NumberColumn(format="%.1f") for name in even}
    panels.table(pd.DataFrame(rows), "heat-shares", column_config=decimals)
    st.caption(
        "The last line is what a map without any preference has; a face network should be above it on "
        "eyes or mouth."
    )


def layers(dataset: Dataset, runs: list[Run]) -> None:
    """Feature maps of any convolution, attention maps and activation per dimension of transformers."""
    from fer.explanation import activations

    index = controls.image_choice(dataset)
    names = {run.id: run.name for run in runs}
    chosen = st.selectbox("Model", list(names), format_func=lambda run_id: names[run_id], key="layers-run")
    run = next(run for run in runs if run.id == chosen)
    model = cached.model(run.directory)
    image = dataset.images[index]
    if attention := activations.attention_layers(model):
        layer = st.selectbox("Attention layer", attention, index=len(attention) - 1)
        maps = activations.attention_maps(model, image, layer)
        panels.faces(
            [overlay(image, _enlarged(head), 0.55, scale=4) for head in maps],
            [f"head {n}" for n in range(1, len(maps) + 1)],
            size=120,
        )
        for name, values in activations.dimension_activations(model, image).items():
            table = pd.DataFrame({"dimension": range(len(values)), "mean activation": values})
            panels.chart(
                result_charts.dimensions(values, name),
                table,
                f"dimensions-{name}",
                f"Mean activation in {name}",
            )
    if convolutions := activations.convolution_layers(model):
        layer = st.selectbox("Convolution", convolutions)
        maps = activations.feature_maps(model, image, layer)
        st.caption(
            f"{len(maps)} filters of {maps.shape[1]} × {maps.shape[2]} values, each stretched to its "
            f"own range."
        )
        panels.faces([_stretched(m) for m in maps[:96]], [str(n) for n in range(min(len(maps), 96))], size=64)


def ideals(dataset: Dataset, runs: list[Run]) -> None:
    """The picture each network is most certain of, for every class; made in the background."""
    from fer.explanation.runs import class_picture

    for run in runs:
        st.markdown(f"**{panels.plain(run.name)}**")
        stored = {emotion: class_picture(run.directory, emotion) for emotion in classes_of(run)}
        pictures = {emotion: found for emotion, found in stored.items() if found is not None}
        if pictures:
            panels.faces(
                [(255 * found.heatmap).astype(np.uint8) for found in pictures.values()],
                [f"{e}\n{100 * found.probabilities[e]:.0f} % sure" for e, found in pictures.items()],
                size=120,
            )
        if len(pictures) < len(classes_of(run)):
            st.button(
                "Make the pictures in the background",
                key=f"maximise-{run.id}",
                icon=":material/brush:",
                on_click=jobs.start,
                args=("maximise", {"run": run.id, "dataset": run.config.get("dataset")}),
            )
    jobs.watch("maximise", str(runs[0].config.get("dataset")))
    panels.note(
        "Activation maximisation (Erhan et al. 2009): starting from grey noise, the input is changed "
        "step by step "
        "so that one class's score grows. It shows what the network reacts to, which is seldom a face."
    )


def _enlarged(grid: np.ndarray) -> np.ndarray:
    import cv2

    share = (grid - grid.min()) / max(float(np.ptp(grid)), 1e-9)
    return cv2.resize(share.astype(np.float32), (48, 48), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (255 * (values - low) / max(high - low, 1e-9)).astype(np.uint8)
