"""The parts of the Augment page: sliders made from `AMOUNTS`, presets, and the grid of variants."""

import numpy as np
import streamlit as st

from dashboard import panels, state
from fer.augmentation import (
    AMOUNTS,
    FILLS,
    PRESETS,
    AugmentationConfig,
    delete_preset,
    frame_warning,
    list_presets,
    preset,
    preview,
    save_preset,
)
from fer.data.dataset import Dataset
from fer.emotions import EMOTIONS
from fer.errors import UserError

UNITS = {"degrees": 1.0, "of the width": 100.0, "of the height": 100.0, "of the side": 100.0, "share": 100.0}


def key(name: str) -> str:
    """Session key of a slider."""
    return f"augment-{name}"


def load(name: str) -> None:
    """Put a preset's values on the sliders."""
    try:
        config = preset(name)
    except UserError:
        return
    for amount, (_, unit, _) in AMOUNTS.items():
        st.session_state[key(amount)] = round(getattr(config, amount) * UNITS[unit], 2)
    st.session_state[key("flip")] = config.flip
    st.session_state[key("fill")] = config.fill
    for emotion in EMOTIONS:
        st.session_state[key(f"strength-{emotion}")] = float(config.class_strength.get(emotion, 1.0))


def sliders() -> AugmentationConfig:
    """The config that the sliders show; they start at study A's preset."""
    names = list(list_presets())
    chosen = st.selectbox(
        "Preset",
        names,
        index=names.index("A"),
        key=state.PRESET,
        bind="query-params",
        persist_state="session",
        help="A, B, C, D: as in the studies. ours: what our own networks train with.",
    )
    if st.session_state.get(state.PRESET_SHOWN) != chosen or key("flip") not in st.session_state:
        load(chosen)
        st.session_state[state.PRESET_SHOWN] = chosen
    values: dict[str, object] = {}
    grid = st.grid(2, min_column_width=170)
    for name, (high, unit, what) in AMOUNTS.items():
        factor = UNITS[unit]
        step = 0.1 if name == "shear" else 1.0
        label = f"{name.replace('_', ' ').capitalize()} ({'°' if unit == 'degrees' else '%'})"
        shown = grid.slider(
            label, 0.0, high * factor, key=key(name), step=step, help=what, format=f"%.{step < 1:d}f"
        )
        values[name] = shown / factor
    left, right = st.columns(2, vertical_alignment="bottom")
    values["flip"] = left.toggle("Mirror half of them", key=key("flip"))
    values["fill"] = right.selectbox("Outside the frame", FILLS, key=key("fill"))
    with st.expander("Strength per class", icon=":material/tune:"):
        st.caption("1 is the amount above; rare classes can be varied more (studies B and D).")
        strengths = {e: st.slider(e, 0.0, 3.0, step=0.1, key=key(f"strength-{e}")) for e in EMOTIONS}
    values["class_strength"] = {emotion: factor for emotion, factor in strengths.items() if factor != 1.0}
    return AugmentationConfig.from_json(values)


def saving(config: AugmentationConfig) -> None:
    """Save the sliders as a preset that Train offers, or delete a saved one."""
    with st.form("save-preset", border=True):
        name = st.text_input("Save as a preset for Train", placeholder="a name of yours")
        if st.form_submit_button("Save", icon=":material/save:"):
            with panels.errors_shown():
                save_preset(name.strip(), config)
                st.toast(f"Saved as {panels.plain(name.strip())}; choose it on the Train page.")
    chosen = st.session_state.get(state.PRESET)
    if (
        chosen
        and chosen not in PRESETS
        and st.button(f"Delete preset {panels.plain(chosen)}", icon=":material/delete:")
    ):
        with panels.errors_shown():
            delete_preset(chosen)
            st.rerun()


def variants(dataset: Dataset, config: AugmentationConfig) -> None:
    """Originals and three variants of each, with a seed and a reshuffle."""
    top = st.container(horizontal=True, vertical_alignment="bottom")
    seed = int(top.number_input("Seed", 0, 2**31 - 1, key=state.SEED, bind="query-params"))
    top.button("Reshuffle", icon=":material/shuffle:", on_click=_reshuffle)
    if warning := frame_warning(config):
        st.warning(warning, icon=":material/crop_free:")
    train = dataset.indices("train")
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(train if len(train) else len(dataset), 8, replace=False))
    images, labels = dataset.images[chosen], dataset.labels[chosen]
    drawn = [preview(images, config, seed + n, labels) for n in range(3)]
    cells, captions = [], []
    for position in range(len(chosen)):
        cells += [images[position], *(variant[position] for variant in drawn)]
        captions += [f"{EMOTIONS[labels[position]]}\noriginal", "variant", "variant", "variant"]
    panels.faces(cells, captions, columns=8, name="variants")
    panels.note(
        "Each training step draws one set of amounts per image, uniformly up to the sliders, and moves the "
        "pixels once: one affine map (rotation, shift, shear, zoom, crop, flip), then brightness "
        r"$x\cdot f$, contrast $\bar x+(x-\bar x)\cdot f$ and one grey square (cutout). Preview and training "
        "share the code and the draws: the same seed gives the same pixels. Validation and test images are "
        "never varied."
    )


def _reshuffle() -> None:
    st.session_state[state.SEED] = int(np.random.default_rng().integers(0, 2**31 - 1))
