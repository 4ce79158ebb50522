"""Explore: classes, samples and pixels of the chosen data set."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, charts, controls, panels, state
from fer.emotions import EMOTIONS

panels.heading("explore")
dataset = panels.choose_dataset()
if dataset is None:
    st.stop()
numbers = cached.statistics(dataset.fingerprint)
counts = numbers["counts"]

missing = sum(row["missing"] for row in numbers["pixels"].values())
panels.metrics(
    {"Images": f"{len(dataset):,}"}
    | {split.capitalize(): f"{sum(per_class.values()):,}" for split, per_class in counts.items()}
    | {"Missing pixels": (f"{missing:,}", "Pixels that have no value")}
)

classes, samples, pixels, means = st.tabs(["Classes", "Samples", "Pixels", "Mean faces"])

with classes:
    st.subheader("Images per expression", anchor=False)
    shown = controls.release_or_trained(numbers)
    table = pd.DataFrame(
        [{"split": split, **per_class, "all": sum(per_class.values())} for split, per_class in shown.items()]
    )
    panels.chart(charts.class_distribution(shown), table, "class-distribution", "Images per class and split")
    weights = {emotion: weight for emotion, weight in numbers["class_weights"].items() if weight}
    st.subheader("Balanced class weights", anchor=False)
    panels.chart(
        charts.class_weights(weights),
        pd.DataFrame({"expression": list(weights), "weight": list(weights.values())}),
        "class-weights",
        "Balanced weight of each class",
    )
    panels.note(
        "A balanced weight makes every class count the same in the loss: "
        r"$w_c = N / (7 \cdot n_c)$, with $n_c$ of the $N$ training images in class $c$, "
        "counted on the 80 % of the training split that remain after validation images are set aside. "
        "Rare classes weigh more; above about 5 training usually gets unstable."
    )

with samples:
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    with left:
        split = controls.split_choice(list(counts))
    with middle:
        per_class_count = st.slider("Faces per expression", 4, 24, 8)
    with right:
        controls.reshuffle()
    generator = np.random.default_rng(st.session_state.get(state.SAMPLE, 0))
    indices = dataset.indices(split)
    for label, emotion in enumerate(EMOTIONS):
        of_class = indices[dataset.labels[indices] == label]
        chosen = np.sort(generator.permutation(of_class)[:per_class_count])
        st.markdown(f"**{emotion}** · {len(of_class):,} images")
        if len(chosen):
            panels.faces(dataset.images[chosen], titles=[dataset.names[i] for i in chosen], size=72)
        else:
            st.caption(f"No {emotion} face in this split.")

with pixels:
    st.subheader("Grey values", anchor=False)
    histograms = numbers["histogram"]
    panels.chart(
        charts.pixel_histogram(histograms),
        pd.DataFrame({"grey value": np.arange(256)} | {f"{s} pixels": h for s, h in histograms.items()}),
        "pixel-histogram",
        "Share of pixels at each grey value by split",
    )
    st.subheader("Statistics of pixels divided by 255", anchor=False)
    released, trained = numbers["pixels"], numbers["split_80_20"]["pixels"]
    rows = [
        {"split": name} | {key: row[key] for key in ("mean", "std", "min", "max", "pixels", "missing")}
        for name, row in [
            *released.items(),
            *((f"{s} of 80/20", r) for s, r in trained.items() if s != "test"),
        ]
    ]
    panels.table(
        pd.DataFrame(rows),
        "pixel-statistics",
        column_config={
            "mean": st.column_config.NumberColumn(format="%.4f"),
            "std": st.column_config.NumberColumn(format="%.4f"),
            "pixels": st.column_config.NumberColumn(format="localized"),
        },
    )
    panels.note(
        "Every pixel is an 8-bit grey value, 0 black to 255 white. Mean and standard deviation are of "
        r"$x/255$ over all pixels of a split: $\mu=\frac1n\sum x_i$, $\sigma=\sqrt{\frac1n\sum "
        r"(x_i-\mu)^2}$. "
        "The untouched FER-2013 release has mean 0.5077 and standard deviation 0.2551 over train; copies "
        "found "
        "elsewhere are often blurred or equalised and differ. Spikes at 0 and 255 are borders and "
        "saturated light."
    )

with means:
    st.write("The average training face of each expression, and where the faces of that class vary.")
    average, spread, names = cached.class_faces(dataset.fingerprint)
    panels.faces(average, [f"{name}\nmean" for name in names], size=110)
    panels.faces(spread, [f"{name}\nvariation" for name in names], size=110)
    panels.note(
        r"Mean: $\bar x=\frac1n\sum x_i$ over the class's training images, pixel by pixel. Variation: the "
        r"standard deviation $\sqrt{\frac1n\sum (x_i-\bar x)^2}$ of each pixel, stretched from black (least) "
        "to white (largest) so that its pattern can be seen."
    )
