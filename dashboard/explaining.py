"""The views of the Explain page: one face in every model, class averages, layers, a face of one's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from dashboard import cached, charts, controls, looking_inside, panels, predicting, state
from dashboard.looking_inside import classes_of
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.explanation import METHODS, Explanation, explain_run, heat_shares, overlay
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
        return explain(model, image, method, layer, target, classes=classes_of(run), progress=progress)

    _strip(image, None, runs, compute, method, opacity)


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
                found = sanity_check(cached.model(run.directory), image, method, classes=classes_of(run))
            except UserError as error:
                st.warning(panels.plain(error))
                continue
            pictures = [
                overlay(image, m, 0.5, scale=4) for m in (found.trained.heatmap, found.random.heatmap)
            ]
            st.markdown(f"**{panels.plain(run.name)}**: {panels.plain(found.sentence)}")
            panels.faces(pictures, ["trained", "random weights"], size=150)


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
    "Averages": looking_inside.average,
    "Layers": looking_inside.layers,
    "Ideals": looking_inside.ideals,
    "Own face": own_face,
}
