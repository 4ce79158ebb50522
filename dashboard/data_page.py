"""The parts of the Data page."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, disk, importing, jobs, panels, selecting, state
from fer import storage
from fer.data.audit import Group
from fer.data.dataset import SPLITS, Dataset, delete_dataset, list_datasets, rename_dataset
from fer.data.selection import drop_leaked
from fer.emotions import EMOTIONS
from fer.errors import UserError

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # who is elsewhere must not open files of this computer by path


def choose_view() -> str:
    """Which view is shown; only that one is computed."""
    return st.segmented_control(
        "View",
        list(VIEWS),
        default="Imported",
        required=True,
        key=state.DATA_VIEW,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )


def listing(dataset: Dataset) -> None:
    """Every data set, and renaming or deleting the chosen one."""
    rows = [
        {
            "data set": info.name,
            "images": info.images,
            **{split: sum(info.counts.get(split, {}).values()) for split in ("train", "validation", "test")},
            "source": info.source,
            "quarantined": info.quarantined,
            "imported": pd.Timestamp(info.imported, unit="s"),
            "disk (MB)": storage.folder_size(cached.dataset(info.fingerprint).directory) / 1e6,
            "fingerprint": info.fingerprint,
        }
        for info in list_datasets()
    ]
    panels.table(
        pd.DataFrame(rows),
        "datasets",
        column_config={
            "disk (MB)": st.column_config.NumberColumn(format="%.1f"),
            "imported": st.column_config.DatetimeColumn(format="distance"),
        },
    )
    quarantined = dataset.meta.get("quarantined") or []
    if quarantined:
        with st.expander(
            f"{len(quarantined)} entries of {panels.plain(dataset.name)} were set aside",
            icon=":material/report:",
        ):
            panels.table(pd.DataFrame(quarantined), "quarantined")
    for warning in dataset.meta.get("warnings") or []:
        st.warning(panels.plain(warning), icon=":material/warning:")
    with st.popover(f"Rename or delete {panels.plain(dataset.name)}", icon=":material/settings:"):
        name = st.text_input("Name", dataset.name, key=f"name-{dataset.fingerprint}")
        if st.button("Rename", icon=":material/edit:", disabled=name == dataset.name):
            _verb(lambda: rename_dataset(dataset.fingerprint, name.strip()))
        if st.button("Delete …", icon=":material/delete:"):
            confirm_deletion(dataset.fingerprint, dataset.name)


@st.dialog("Delete this data set?")
def confirm_deletion(fingerprint: str, name: str) -> None:
    """Ask before a data set is removed."""
    st.write(
        f"{panels.plain(name)} and everything computed from it are removed from the cache. Runs trained "
        f"on it stay, "
        "and importing the same source brings the same data set back, with its selections and the groups of "
        "images you brought; remove those before, if they are to go."
    )
    if st.button("Delete", type="primary", icon=":material/delete:"):
        _verb(lambda: delete_dataset(fingerprint))


def _verb(action: Any) -> None:
    try:
        action()
    except UserError as error:
        st.error(panels.plain(error))
        return
    st.cache_resource.clear()
    st.rerun()


def import_form(dataset: Dataset) -> None:
    """Import from a path, an upload, Kaggle, or the demo."""
    st.write(
        "FER-2013 as a folder (`train/<class>/*.jpg`, `test/<class>/*.jpg`), a zip of it, or the "
        "original `fer2013.csv`. "
        "Pictures are decoded once; the same content is never stored twice."
    )
    kind = st.segmented_control(
        "From", ["This computer", "Upload", "Kaggle", "Demo faces"], default="This computer", required=True
    )
    source: str | None = None
    upload = None
    if kind == "This computer":
        if st.get_option("server.address") not in LOOPBACK:
            st.info(
                "The app is shared on a network, so paths of this computer cannot be opened from the "
                "browser. Use Upload."
            )
        else:
            source = st.text_input("Folder, zip or csv", placeholder="/home/you/fer2013.zip") or None
    elif kind == "Upload":
        upload = st.file_uploader(
            "Zip, csv or csv.gz, up to 400 MB", ["zip", "csv", "gz"], max_upload_size=400
        )
    elif kind == "Kaggle":
        wanted = st.text_input("Kaggle data set", "msambare/fer2013", help="OWNER/NAME")
        source = "kaggle:" + wanted.strip().removeprefix("kaggle:")  # never a path of this computer
        st.caption(
            "Needs a Kaggle account: put its token into ~/.kaggle/kaggle.json or KAGGLE_USERNAME and "
            "KAGGLE_KEY."
        )
    else:
        source = "demo"
        st.caption("About 3,500 drawn faces: works without any download.")
    name = st.text_input("Name", placeholder="made from the source")
    if st.button("Import", type="primary", icon=":material/download:", disabled=not (source or upload)):
        if upload is not None:
            with tempfile.TemporaryDirectory(prefix="fer-upload-") as folder:
                path = Path(folder) / f"upload{''.join(Path(upload.name).suffixes[-2:]).lower()}"
                path.write_bytes(upload.getbuffer())
                _import(str(path), name or Path(upload.name).stem)
        elif source:
            _import(source, name)


def _import(source: str, name: str) -> None:
    bar = st.progress(0.0, text="Starting …")
    try:
        result = importing.import_in_background(
            source,
            name.strip() or None,
            lambda fraction, text: bar.progress(min(fraction, 1.0), text=panels.plain(text)),
        )
    except UserError as error:
        bar.empty()
        st.error(panels.plain(error))
        return
    bar.empty()
    st.success(
        f"{panels.plain(result['name'])}: {result['images']:,} images in {result['seconds']:.1f} s, "
        f"{len(result['quarantined'])} set aside.",
        icon=":material/check_circle:",
    )
    for warning in result["warnings"]:
        st.warning(panels.plain(warning))
    if result["quarantined"]:
        panels.table(pd.DataFrame(result["quarantined"]), "quarantined-now")
    panels.go_to("explore", "Explore it", dataset=result["name"])


def audit(dataset: Dataset) -> None:
    """Exact duplicates, leaks, conflicts and flat images of the chosen data set."""
    found = cached.audit(dataset.fingerprint)
    described = (
        ("Missing pixels", "missing_pixels", "Pixels that are not a number"),
        ("Flat images", "constant", "Every pixel has the same value"),
        ("Duplicate groups", "duplicate_groups", "Sets of pixel-identical images"),
        ("Duplicates", "duplicate_images", "Images that have at least one exact copy"),
        ("Crossing groups", "leaking_groups", "Groups with copies in more than one split"),
        ("Leaked test", "leaked_test_images", "Test images a network may have seen in training"),
        ("Conflicting", "conflicting_groups", "Groups whose copies carry different labels"),
    )
    panels.metrics({label: (f"{found[key]:,}", explanation) for label, key, explanation in described})
    if found["leaked_test_images"]:
        st.warning(
            f"{found['leaked_test_images']:,} test images are pixel-identical to a training image, so "
            f"accuracy is shown "
            "with and without them everywhere.",
            icon=":material/warning:",
        )
    panels.note(
        "Two images are duplicates when all 48 × 48 pixels are equal (BLAKE2b hash of the pixels). "
        "A group leaks when it has images in train and in test; it conflicts when its images carry "
        "different labels."
    )
    _clean(dataset, found)
    _groups(dataset)


def _clean(dataset: Dataset, found: dict[str, int]) -> None:
    """One click makes a selection without leaked or conflicting training images."""
    st.subheader("Make a selection without them", anchor=False)
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        name = selecting.choose(dataset)
    row = right.container(horizontal=True)
    row.button(
        "Drop leaked and conflicting training images",
        icon=":material/cleaning_services:",
        type="primary",
        disabled=not (found["leaked_test_images"] or found["conflicting_groups"]),
        on_click=_drop,
        args=(dataset, name),
    )
    selecting.summary(dataset, name)


def _drop(dataset: Dataset, name: str) -> None:
    with panels.errors_shown():
        made = drop_leaked(dataset, name)
        st.toast(f"{len(made.dropped):,} images dropped in {panels.plain(name)}, version {made.version}.")


def near_duplicates(dataset: Dataset) -> None:
    """Similar but not identical images, found in the background, at a distance of one's choice."""
    from fer.data import near_duplicates as near

    jobs.watch("near_duplicates", dataset.fingerprint)
    if near.stored_pairs(dataset) is None:
        st.write(
            "Images that look alike without being identical: resized, re-encoded or slightly shifted copies."
        )
        st.button(
            "Look for near duplicates in the background",
            icon=":material/content_copy:",
            on_click=jobs.start,
            args=("near_duplicates", {"dataset": dataset.fingerprint}),
        )
        return
    distance = st.slider("Distance (bits of 64 that differ)", 0, near.MAX_DISTANCE, near.DEFAULT_DISTANCE, 2)
    counts = near.near_summary(dataset, distance)
    panels.metrics({key.replace("_", " ").capitalize(): f"{value:,}" for key, value in counts.items()})
    panels.note(
        "Perceptual hash (pHash): the signs of the 64 lowest frequencies of the image's cosine "
        "transform. Images "
        "whose hashes differ in few bits look alike; at larger distances different faces meet too, so look."
    )
    selecting.choose(dataset)
    _show_groups(dataset, near.near_groups(dataset, distance), "near")


def _groups(dataset: Dataset) -> None:
    from fer.data.audit import exact_groups

    kinds = {"Conflicting": "conflicts", "Leaking": "leaks", "All": ""}
    kind = st.segmented_control("Groups", list(kinds), default="Conflicting", required=True)
    groups = [g for g in exact_groups(dataset) if not kinds[kind] or getattr(g, kinds[kind])]
    _show_groups(dataset, groups, kind)


def _show_groups(dataset: Dataset, groups: list[Group], key: str) -> None:
    """Groups of copies side by side, paged."""
    if not groups:
        st.info("No such group.")
        return
    size = 8
    page = st.pagination(-(-len(groups) // size), key=f"group-page-{key}-{len(groups)}")
    shown = groups[(page - 1) * size : page * size]
    st.caption(f"{len(groups):,} groups, {len(shown)} on this page")
    name = st.session_state.get(state.SELECTION) or selecting.NEW
    decided = selecting.decisions(dataset, name)
    grid = st.grid(2, min_column_width=300)
    for group in shown:
        with grid.cell(), st.container(border=True):
            marks = [("conflicting labels", group.conflicts), ("train and test", group.leaks)]
            noted = " · ".join(text for text, true in marks if true)
            st.caption(
                f"Group {group.number + 1}: {len(group.members)} copies" + (f" · {noted}" if noted else "")
            )
            members = list(group.members)
            captions = [_group_caption(dataset, i, selecting.caption(decided.get(i))) for i in members]
            panels.faces(dataset.images[members], captions, [dataset.names[i] for i in members], size=104)
            reason = noted or f"copies of {dataset.names[members[0]]}"
            selecting.group_marks(dataset, name, members, f"{key}-{group.number}", reason)


def _group_caption(dataset: Dataset, index: int, mark: str) -> str:
    """Label, split, file name and what was decided."""
    file = dataset.names[index].rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " ")
    return f"{EMOTIONS[dataset.labels[index]]}\n{SPLITS[dataset.splits[index]]}\n{file}\n{mark}".rstrip()


def label_issues(dataset: Dataset) -> None:
    """Probable label errors, ranked by what runs say about images they never trained on."""
    from fer.analysis.label_issues import find_label_issues, out_of_sample

    runs = panels.choose_runs("Judged by")
    runs = [run for run in runs if run.config.get("dataset") == dataset.fingerprint and run.kind == "train"]
    if not runs:
        st.info("Choose runs that were trained on this data set; the runs of a k-fold judge all of train.")
        return
    indices, probabilities = out_of_sample(dataset, [run.directory for run in runs])
    found = find_label_issues(dataset, indices, probabilities)
    panels.metrics(
        {
            "Images judged": f"{len(found.indices):,}",
            "Probably wrong": (f"{int(found.probable.sum()):,}", "cleanlab's estimate"),
        }
    )
    order = st.segmented_control(
        "Show", ["Probable errors", "All, by doubt"], default="Probable errors", required=True
    )
    keep = np.flatnonzero(found.probable) if order == "Probable errors" else np.arange(len(found.indices))
    if not len(keep):
        st.info("No probable label error.")
        return
    size = 24
    page = st.pagination(-(-len(keep) // size), key=f"issues-{len(keep)}")
    here = keep[(page - 1) * size : page * size]
    name = selecting.choose(dataset)
    decided = selecting.decisions(dataset, name)
    shown = found.indices[here]
    captions = [
        f"{n}. given {EMOTIONS[found.given[i]]}\nrather {EMOTIONS[found.suggested[i]]} "
        f"{selecting.caption(decided.get(int(found.indices[i])))}"
        for n, i in enumerate(here, 1)
    ]
    panels.faces(dataset.images[shown], captions, [dataset.names[i] for i in shown], size=110)
    selecting.marks(dataset, name, list(shown), found.indices[keep], f"issues-{page}", "probable label error")
    selecting.summary(dataset, name)
    panels.note(
        "Confident learning (Northcutt et al. 2021, cleanlab): a network that never saw an image, nor "
        "a copy of "
        "it, and is surer of another class than it usually is of that class, is evidence against the label. "
        "FER-2013's labels are noisy and so are the networks: look before you relabel."
    )


VIEWS: dict[str, Callable[[Dataset], None]] = {
    "Imported": listing,
    "Import": import_form,
    "Audit": audit,
    "Near duplicates": near_duplicates,
    "Label issues": label_issues,
    "Disk": disk.view,
}
