"""The one list of pages: adding a page is one file in `pages/` and one line here."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode


@dataclass(frozen=True)
class PageSpec:
    """One page of the app.

    Attributes:
        name: file name in `pages/` without `.py`; also its address.
        title: what the navigation and the page heading say.
        icon: Material symbol, as `:material/name:`.
        section: heading it stands under in the navigation.
        purpose: one sentence under the heading.
    """

    name: str
    title: str
    icon: str
    section: str
    purpose: str

    @property
    def path(self) -> str:
        """Path relative to `dashboard/app.py`, as `st.Page` and `st.switch_page` want it."""
        return f"../pages/{self.name}.py"


# fmt: off
PAGES: tuple[PageSpec, ...] = (
    PageSpec("home", "Home", ":material/home:", "", "Where you are and what to do next."),
    PageSpec("data", "Data sets", ":material/database:", "Data", "Import faces and check what is in them."),
    PageSpec("explore", "Explore", ":material/bar_chart:", "Data", "Classes, samples and pixels."),
    PageSpec("denoise", "Denoise", ":material/blur_on:", "Data", "Less noise, and what it costs."),
    PageSpec("outliers", "Outliers", ":material/troubleshoot:", "Data", "The strangest faces."),
    PageSpec("augment", "Augment", ":material/transform:", "Data", "How training images are varied."),
    PageSpec(
        "recipes", "Recipes", ":material/menu_book:", "Experiments",
        "Every experiment of four studies and ours: what was reported, what was measured here and how long "
        "it takes; train one as it stands, or find out what each of its ingredients brings.",
    ),
    PageSpec(
        "train", "Train", ":material/play_circle:", "Experiments",
        "Choose data and a recipe, change what you like, and train in the background while the curves grow.",
    ),
    PageSpec("runs", "Runs", ":material/list_alt:", "Experiments", "Every training, its state and its log."),
    PageSpec("compare", "Compare", ":material/balance:", "Results", "Trained models side by side."),
    PageSpec("explain", "Explain", ":material/visibility:", "Results", "Where a model looks."),
    PageSpec("generate", "Generate", ":material/face_5:", "Try it", "Faces drawn by a diffusion model."),
    PageSpec("predict", "Predict", ":material/add_a_photo:", "Try it", "The expression in a photo of yours."),
)
# fmt: on

_PAGE = "page shown"  # key of the session state


def page(name: str) -> PageSpec:
    """The entry of `PAGES` called `name`."""
    return next(spec for spec in PAGES if spec.name == name)


def sections() -> dict[str, list[PageSpec]]:
    """`PAGES` by section, in order."""
    grouped: dict[str, list[PageSpec]] = {}
    for spec in PAGES:
        grouped.setdefault(spec.section, []).append(spec)
    return grouped


def follow_address(name: str) -> None:
    """On arriving at page `name`, let what its address names win over what the session remembers.

    Streamlit takes the values of a first visit from the address. Later it drops those of widgets that were
    last seen on another page, and takes a widget's default for no value at all: a link from Recipes to Train
    would open the recipe trained before.
    """
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is None or st.session_state.get(_PAGE) == name:
        return
    st.session_state[_PAGE] = name
    asked = parse_qs(context.query_string, keep_blank_values=True)
    for key, values in asked.items():
        values = list(dict.fromkeys(values))  # a link repeats what the address had already
        asked[key] = values
        if key in st.session_state:
            del st.session_state[key]
        if key not in st.query_params:
            st.query_params[key] = values if len(values) > 1 else values[0]
    with context.session_state.query_params() as params:
        params.set_initial_query_params(urlencode(asked, doseq=True))
