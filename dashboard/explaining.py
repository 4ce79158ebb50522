"""Heat maps of several runs on one face."""

import streamlit as st

from dashboard import cached, charts, panels
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.runs import Run


def strip(
    dataset: Dataset, index: int, runs: list[Run], method: str, target: str | None, opacity: float
) -> None:
    """The face, and for each run its map, probabilities and verdict."""
    from fer.explanation import explain, overlay

    image = dataset.images[index]
    true = EMOTIONS[dataset.labels[index]]
    st.markdown(
        f"True class **{true}** · `{dataset.names[index]}`" if "`" not in dataset.names[index] else true
    )
    grid = st.grid(4, min_column_width=250, border=True)
    with grid.cell():
        st.markdown("**The face**")
        panels.faces([image], [f"true class: {true}"], size=220)
    for run in runs:
        with grid.cell():
            st.markdown(f"**{panels.plain(run.name)}**")
            try:
                with st.spinner("Computing the map …"):
                    result = explain(
                        cached.model(run.directory),
                        image,
                        method=method,
                        target=EMOTIONS.index(target) if target else None,
                    )
            except UserError as error:
                st.error(panels.plain(error))
                continue
            values = dict(zip(EMOTIONS, map(float, result.probabilities), strict=True))
            predicted = max(values, key=values.__getitem__)
            shown = EMOTIONS[result.target]
            panels.faces(
                [overlay(image, result.heatmap, opacity)],
                [f"predicted {predicted} ({100 * values[predicted]:.0f} %)\nheat for {shown}"],
                tones=["good" if predicted == true else "bad"],
                size=220,
            )
            st.plotly_chart(
                charts.probabilities(values, marked=true),
                key=f"explain-{run.id}",
                config={"displaylogo": False},
                alt="Probability of each expression",
            )
            st.caption(f"{result.method} at layer {panels.plain(result.layer)}")
