"""The views of the Explain page: one face in every model, class averages, layers, a face of one's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, controls, jobs, panels, predicting, result_charts, state
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.explanation import (
    METHODS,
    Explanation,
    area_shares,
    explain_run,
    heat_shares,
    mean_explanation,
    overlay,
)
from fer.runs import Run

Progress = Callable[[float, str], None]


def choose_view() -> str:
    """Which view is shown; only that one is computed."""
    return st.segmented_control(
        "View",
        list(VIEWS),
        default="One face",
        required=True,
        key=state.EXPLAIN_VIEW,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )


def one_face(dataset: Dataset, runs: list[Run]) -> None:
    """A face of the data set through every chosen model."""
    index = controls.image_choice(dataset)
    method, target, opacity, layer = controls.explanation_options(runs)
    image, true = dataset.images[index], EMOTIONS[dataset.labels[index]]

    def compute(run: Run, progress: Progress) -> Explanation:
        return explain_run(
            run.directory,
            dataset,
            index,
            method,
            layer,
            target,
            model=lambda: cached.model(run.directory),
            progress=progress,
        )

    _strip(image, true, runs, compute, method, opacity)
    _sanity(image, runs, method)
    _note(method)


def own_face(dataset: Dataset, runs: list[Run]) -> None:
    """The same for the largest face of an uploaded photo, which stays in memory."""
    from fer.explanation import explain
    from fer.prediction import crop_face, decode_photo, find_faces

    content = predicting.photo_input()
    if content is None:
        st.caption("The photo stays in memory: neither it nor its maps are written to the cache.")
        return
    try:
        photo = decode_photo(content)
        found = find_faces(photo)
    except UserError as error:
        st.error(panels.plain(error))
        return
    if not found:
        predicting.no_face()
        return
    method, target, opacity, layer = controls.explanation_options(runs)
    image = crop_face(photo, found[0])

    def compute(run: Run, progress: Progress) -> Explanation:
        model = cached.model(run.directory)
        return explain(model, image, method, layer, target, classes=_classes(run), progress=progress)

    _strip(image, None, runs, compute, method, opacity)


def _classes(run: Run) -> tuple[str, ...]:
    return tuple(run.config.get("classes") or EMOTIONS)


def _strip(
    image: np.ndarray,
    true: str | None,
    runs: list[Run],
    compute: Callable[[Run, Progress], Explanation],
    method: str,
    opacity: float,
) -> None:
    """The face, then each model's map, answer and probabilities, those that disagree most first."""
    from fer.explanation.runs import strip_order

    made = _computed(image, runs, compute, method)
    if not made:
        return
    order = strip_order([explanation for _, explanation in made]) if len(made) > 1 else range(len(made))
    grid = st.grid(min(len(made) + 1, 4), min_column_width=220, border=True)
    with grid.cell():
        st.markdown("**The face**")
        panels.faces([image], [f"true class: {true}" if true else "your face, 48 × 48 pixels"], size=200)
    for number in order:
        run, found = made[number]
        with grid.cell():
            st.markdown(f"**{panels.plain(run.name)}**")
            caption = f"says {found.predicted} ({100 * found.confidence:.0f} %)\nheat for {found.target}"
            tone = "" if true is None else "good" if found.predicted == true else "bad"
            panels.faces([overlay(image, found.heatmap, opacity, scale=5)], [caption], tones=[tone], size=200)
            st.plotly_chart(
                charts.probabilities(found.probabilities, marked=true),
                key=f"explain-{run.id}",
                config={"displaylogo": False},
                alt="Probability of each expression",
            )
            shares = heat_shares(found.heatmap)
            shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            st.caption(f"Heat on {shown}." + (f" Layer {panels.plain(found.layer)}." if found.layer else ""))


def _computed(
    image: np.ndarray, runs: list[Run], compute: Callable[[Run, Progress], Explanation], method: str
) -> list[tuple[Run, Explanation]]:
    """Every model's map; methods of many passes show how far they are and can be cancelled.

    Streamlit ends a running script where it next draws something, and `progress` draws.
    """
    wanted = f"{method} {[run.id for run in runs]} {hash(image.tobytes())}"
    if st.session_state.get(state.CANCELLED) == wanted:
        st.info("Cancelled.")
        st.button("Compute it after all", on_click=lambda: st.session_state.pop(state.CANCELLED, None))
        return []
    place = st.empty()
    made: list[tuple[Run, Explanation]] = []
    with place.container(horizontal=True, vertical_alignment="center"):
        title = METHODS[method].title
        bar = st.progress(0.0, text=f"Computing {title} …")
        if METHODS[method].heavy:
            st.button("Cancel", icon=":material/close:", on_click=_cancel, args=(wanted,))
    for number, run in enumerate(runs):
        text = f"{title} of {panels.plain(run.name)} …"
        bar.progress(number / len(runs), text=text)

        def progress(share: float, _: str, before: int = number, text: str = text) -> None:
            bar.progress(min((before + share) / len(runs), 1.0), text=text)

        try:
            made.append((run, compute(run, progress)))
        except UserError as error:
            st.warning(f"{panels.plain(run.name)}: {panels.plain(error)}", icon=":material/warning:")
    place.empty()
    return made


def _cancel(wanted: str) -> None:
    st.session_state[state.CANCELLED] = wanted


def _sanity(image: np.ndarray, runs: list[Run], method: str) -> None:
    with st.expander("Sanity check: the same network with random weights", icon=":material/fact_check:"):
        st.write(
            "A map that looks the same for a network that learned nothing shows edges of the image, "
            "not reasons "
            "(Adebayo et al. 2018)."
        )
        if not st.toggle("Compute it", key="sanity"):
            return
        from fer.explanation import sanity_check

        for run in runs:
            try:
                found = sanity_check(cached.model(run.directory), image, method, classes=_classes(run))
            except UserError as error:
                st.warning(panels.plain(error))
                continue
            pictures = [
                overlay(image, m, 0.5, scale=4) for m in (found.trained.heatmap, found.random.heatmap)
            ]
            st.markdown(f"**{panels.plain(run.name)}**: {panels.plain(found.sentence)}")
            panels.faces(pictures, ["trained", "random weights"], size=150)


def average(dataset: Dataset, runs: list[Run]) -> None:
    """Mean map of each expression and model, and the share of heat on eyes, mouth and border."""
    method, _, opacity, layer = controls.explanation_options(runs, target=False)
    count = st.slider("Images per expression", 4, 64, 16, 4)
    rows = []
    for run in runs:
        st.markdown(f"**{panels.plain(run.name)}**")
        bar = st.progress(0.0, text="Computing mean maps …")
        pictures, names = [], []
        for number, emotion in enumerate(_classes(run)):
            bar.progress(number / len(_classes(run)), text=f"Mean map of {emotion} …")
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
        stored = {emotion: class_picture(run.directory, emotion) for emotion in _classes(run)}
        pictures = {emotion: found for emotion, found in stored.items() if found is not None}
        if pictures:
            panels.faces(
                [(255 * found.heatmap).astype(np.uint8) for found in pictures.values()],
                [f"{e}\n{100 * found.probabilities[e]:.0f} % sure" for e, found in pictures.items()],
                size=120,
            )
        if len(pictures) < len(_classes(run)):
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


def _note(method: str) -> None:
    about: Any = METHODS[method]
    panels.note(
        f"**{about.title}** ({about.source}). {about.about}\n\n"
        r"Grad-CAM: the gradient of a class score with respect to each channel of a layer, averaged, "
        r"weighs that "
        r"channel: $\mathrm{ReLU}(\sum_k \alpha_k A^k)$. Bright means: more of this would raise the "
        r"class. It says "
        "where, not why, and a plausible map is no proof that the model is right."
    )


VIEWS: dict[str, Callable[[Dataset, list[Run]], None]] = {
    "One face": one_face,
    "Averages": average,
    "Layers": layers,
    "Ideals": ideals,
    "Own face": own_face,
}
