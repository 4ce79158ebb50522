"""The parts of the Generate page about what was accepted, and whether it helps a classifier."""

import pandas as pd
import streamlit as st

from dashboard import clicks, panels
from fer import ablations
from fer.generation.dataset import GeneratedSet, list_sets, reject
from fer.recipes import RECIPES, recipe_config

PAGE = 64
QUANTITIES = {"recall": "recall (%)", "f1": "F1 (%)", "macro_f1": "macro F1 (%)", "accuracy": "accuracy (%)"}


def accepted() -> None:
    """The faces of a set, and the way to take some out."""
    chosen = _choose_set("shown-set")
    if chosen is None:
        return
    counts = ", ".join(f"{n} {emotion}" for emotion, n in chosen.counts().items())
    st.caption(
        f"{panels.plain(chosen.reference)}: {counts}, all generated. For training only; no split and no "
        "evaluation can draw from it."
    )
    page = st.pagination(-(-len(chosen) // PAGE), key="set-page") if len(chosen) > PAGE else 1
    numbers = list(range((page - 1) * PAGE, min(page * PAGE, len(chosen))))
    captions = [f"{n + 1}. generated" for n in numbers]
    panels.faces([chosen.images[n] for n in numbers], captions, name=f"set-{chosen.name}")
    out = st.pills(
        "Take out", [n + 1 for n in numbers], selection_mode="multi", key=f"out-{chosen.reference}"
    )
    if st.button("Reject them", disabled=not out, icon=":material/delete:"):
        with panels.errors_shown():
            reject(chosen.name, [number - 1 for number in out or []])
            st.rerun()
    st.caption(
        "Train any recipe with these faces added: choose them on the Train page under *Images and split*, or"
    )
    st.code(
        f'python -m fer train resnet_se --dataset {chosen.dataset} --set "generated={chosen.reference}" '
        f"--set split.validation_fraction={chosen.split.validation_fraction:g}",
        language="bash",
        wrap_lines=True,
    )


def remedies() -> None:
    """The question of study A, answered: nothing, class weights, oversampling, SMOTE, generated faces."""
    st.write(
        "The same recipe five times: as it is, with class weights, with the class's images repeated, with "
        "SMOTE in the features, and with generated faces; repeated and generated to the same number. Each "
        "over several seeds, on real test images."
    )
    chosen = _choose_set("asked-set")
    if chosen is not None:
        _form(chosen)
    known = ablations.identifiers(of_remedies=True)
    if known:
        _table(st.selectbox("Results of", known, key="remedies-shown"))


def _choose_set(key: str) -> GeneratedSet | None:
    sets = {found.name: found for found in list_sets()}
    if not sets:
        st.info("No face is accepted yet. Draw some, and accept the good ones.")
        return None
    name = st.selectbox("Set of generated faces", list(sets), key=key)
    return sets[name]


def _form(chosen: GeneratedSet) -> None:
    with st.form("remedies", border=True):
        left, middle, right = st.columns(3)
        recipe = left.selectbox("Recipe", list(RECIPES))
        seeds = middle.number_input("Seeds", 1, 20, 3)
        epochs = right.number_input("Epochs, 0 for the recipe's", 0, 1000, 0)
        emotion = left.selectbox("Expression", list(chosen.counts()))
        if st.form_submit_button("Queue the comparison", icon=":material/science:"):
            with panels.errors_shown():
                settings = {"epochs": str(epochs)} if epochs else {}
                config = recipe_config(recipe, chosen.dataset, **settings)
                made = clicks.once(ablations.start_remedies, config, chosen.reference, int(seeds), emotion)
                st.toast(f"Queued as {panels.plain(made)}.", icon=":material/schedule:")


def _table(identifier: str) -> None:
    rows = []
    for row in ablations.remedies_table(identifier):
        cells: dict[str, object] = {"variant": row.variant, "runs": f"{row.finished} of {row.planned}"}
        for key, title in QUANTITIES.items():
            mean, half = getattr(row, key) or (None, None)
            of_class = f"{row.emotion} " if key in ("recall", "f1") else ""
            cells[of_class + title] = 100 * mean if mean is not None else None
            cells[f"± {of_class}{title.removesuffix(' (%)')}"] = 100 * half if half is not None else None
        rows.append(cells)
    frame = pd.DataFrame(rows)
    two = st.column_config.NumberColumn(format="%.2f")
    columns = {name: two for name in frame.columns if name not in ("variant", "runs")}
    panels.table(frame, f"remedies-{identifier}", column_config=columns)
    st.caption(
        "Mean over the finished seeds, on the test images; ± is half of the 95 % interval by Student's t. "
        "Where intervals overlap, the difference may be chance."
    )
