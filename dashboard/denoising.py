"""The parts of the Denoise page."""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, controls, jobs, panels, state
from fer.analysis.denoising import METHODS, DenoiseConfig, compare
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS

# The four watermarked training images that study A shows, and one without a mark.
KNOWN = ("Training_7118915", "Training_10229138", "Training_15579995", "Training_20437400")


def image_choice(dataset: Dataset) -> int:
    """Index of a training image: one of the known watermarked ones, or any by number."""
    pool = dataset.indices("train")
    pool = pool if len(pool) else np.arange(len(dataset))
    known = {name.rsplit("/", 1)[-1].split(".")[0]: n for n, name in enumerate(dataset.names)}
    marked = [known[name] for name in KNOWN if name in known]
    start = marked[0] if marked else int(pool[0])

    def another() -> None:
        st.session_state[state.IMAGE] = int(np.random.default_rng().choice(pool))

    row = st.container(horizontal=True, vertical_alignment="bottom")
    controls.forget_unless(state.IMAGE, len(dataset))
    index = row.number_input(
        f"Image number (0 to {len(dataset) - 1:,})",
        0,
        len(dataset) - 1,
        start,
        key=state.IMAGE,
        bind="query-params",
        persist_state="session",
    )
    row.button("Random", icon=":material/casino:", on_click=another)
    if marked:
        buttons = st.container(horizontal=True)
        for number in marked:
            buttons.button(
                f"Watermark in {EMOTIONS[dataset.labels[number]]}",
                type="tertiary",
                on_click=_show,
                args=(number,),
                key=f"known-{number}",
            )
    return int(index)


def _show(number: int) -> None:
    st.session_state[state.IMAGE] = number


def sliders() -> DenoiseConfig:
    """Method and the settings it has."""
    method = st.selectbox("Method", METHODS, key=state.FILTER, bind="query-params", persist_state="session")
    default = DenoiseConfig(method=method)
    if method == "non-local means":
        return replace(
            default,
            strength=st.slider("Strength h (grey levels)", 1.0, 30.0, 10.0, 0.5, help="10 in study A"),
            template=st.slider("Compared patch (pixels)", 3, 15, 7, 2),
            search=st.slider("Searched window (pixels)", 15, 35, 21, 2),
        )
    if method == "gaussian":
        return replace(default, sigma=st.slider("Sigma (pixels)", 0.3, 5.0, 1.0, 0.1))
    if method == "median":
        return replace(default, window=st.slider("Window (pixels)", 3, 9, 3, 2))
    return replace(
        default,
        diameter=st.slider("Diameter (pixels)", 3, 15, 5),
        sigma_grey=st.slider("Grey difference (grey levels)", 1.0, 150.0, 40.0, 1.0),
        sigma_space=st.slider("Distance (pixels)", 0.5, 20.0, 3.0, 0.5),
    )


def comparison(dataset: Dataset, index: int, config: DenoiseConfig) -> None:
    """Original, result and difference, with noise and sharpness before and after."""
    found = compare(dataset.images[index], config)
    captions = ["original", "denoised", f"difference (white: {found.largest_difference:.0f} grey levels)"]
    pictures = [found.original, found.result, found.difference]
    panels.faces(pictures, captions, columns=3, name="denoised")
    panels.metrics(
        {
            "Noise before": (f"{found.noise_before:.2f}", "Estimated standard deviation, grey levels"),
            "Noise after": f"{found.noise_after:.2f}",
            "Sharpness before": (f"{found.sharpness_before:,.0f}", "Variance of the Laplacian"),
            "Sharpness after": f"{found.sharpness_after:,.0f}",
        },
        columns=2,
    )
    panels.note(
        r"**Non-local means** (Buades et al. 2005): $\hat x_i=\sum_j w_{ij}x_j / \sum_j w_{ij}$ with "
        r"$w_{ij}=e^{-\|P_i-P_j\|^2/h^2}$ over patches $P$ in the search window: pixels whose "
        r"surroundings look "
        "alike are averaged. **Noise** is estimated from second derivatives (Immerkær 1996), "
        "**sharpness** is "
        "the variance of the Laplacian: a filter that lowers both equally blurs rather than cleans."
    )


def every_method(dataset: Dataset, index: int, config: DenoiseConfig) -> None:
    """The same image through all methods, the chosen one as set, the others at their defaults."""
    st.subheader("All methods on this image", anchor=False)
    cells, captions, rows = [dataset.images[index]], ["original"], []
    for method in METHODS:
        found = compare(
            dataset.images[index], config if method == config.method else DenoiseConfig(method=method)
        )
        cells.append(found.result)
        captions.append(method)
        rows.append(
            {
                "method": method,
                "noise before (grey levels)": found.noise_before,
                "noise after (grey levels)": found.noise_after,
                "sharpness before": found.sharpness_before,
                "sharpness after": found.sharpness_after,
            }
        )
    panels.faces(cells, captions, columns=len(cells), name="denoise-methods")
    decimals = {name: st.column_config.NumberColumn(format="%.2f") for name in rows[0] if name != "method"}
    panels.table(pd.DataFrame(rows), "denoise-methods", column_config=decimals)


def apply(dataset: Dataset, config: DenoiseConfig) -> None:
    """Write a denoised copy as a new data set, in the background."""
    st.subheader("Apply to the data set", anchor=False)
    with st.form("denoise-all", border=True):
        name = st.text_input("Name of the copy", f"{dataset.name[:44]} denoised")
        st.caption("The original stays as it is. The copy has the same labels, splits and names.")
        if st.form_submit_button("Write a denoised copy", type="primary", icon=":material/play_arrow:"):
            jobs.start(
                "denoise",
                {"dataset": dataset.fingerprint, "name": name.strip(), "denoising": config.to_json()},
            )
            st.rerun()


def watermarks(dataset: Dataset) -> None:
    """Images ranked by how much they look stamped."""
    st.subheader("Watermark finder", anchor=False)
    scores = cached.watermark_scores(dataset.fingerprint)
    if scores is None:
        if not st.button("Rank the images by their watermark score", icon=":material/branding_watermark:"):
            return
        bar = st.progress(0.0, text="Scoring …")
        cached.compute_watermarks(dataset, lambda fraction, text: bar.progress(min(fraction, 1.0), text=text))
        st.rerun()
    order = np.argsort(-scores, kind="stable")
    size = 24
    page = st.pagination(-(-len(order) // size), key="watermark-page")
    shown = order[(page - 1) * size : page * size]
    captions = [f"{EMOTIONS[dataset.labels[i]]}\n{scores[i]:.1f}" for i in shown]
    titles = [dataset.names[i] for i in shown]
    panels.faces(dataset.images[shown], captions, titles, size=84, name="watermarks")
    with st.popover("Numbers", icon=":material/table:", type="tertiary"):
        ranked = pd.DataFrame({"image": [dataset.names[i] for i in order], "score": scores[order]})
        panels.table(ranked, "watermarks")
    panels.note(
        "A network of 35,345 weights, trained on faces with and without drawn stamps, says for each of "
        "24 × 24 places how likely a stamp covers it. The score is the mean of the 4 highest logits: "
        r"$s=\frac14\sum_{i\in\text{top 4}} z_i$; higher is likelier. The four examples of study A were "
        "left out of that training."
    )
