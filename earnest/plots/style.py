"""Style of all pictures: colours, figures without matplotlib's global state and without a screen, plain axes."""

import warnings
from functools import partial
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Literal

from earnest.errors import needs_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
INK, MUTED, GRID, PAPER, ON_BLUE = "#1a1a1a", "#666666", "#dddddd", "#ffffff", "#fdfdfd"
BLUE, ORANGE, GREEN, SKY = "#0072b2", "#d55e00", "#009e73", "#56b4e8"  # Okabe and Ito (2008): for all kinds of eyes
OTHER_SCRIPTS = (  # fonts of systems for what matplotlib's own one lacks: Chinese, Japanese, Korean, Indic, Thai
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Droid Sans Fallback",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Nirmala UI",
    "Leelawadee UI",
)
COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", SKY, MUTED, INK)


def plain_axes(axes: "Axes", grid: Literal["x", "y", "both"] = "y") -> None:
    """Leave the lower and the left line, a faint grid behind what is drawn, and numbers in ink."""
    axes.grid(axis=grid, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(MUTED)
    axes.tick_params(color=MUTED, labelcolor=INK)


def new_figure(width_in: float, height_in: float) -> "Figure":
    with needs_extra("drawing", "report"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    # What a notebook looks for; only figures of matplotlib's global state are shown without it.
    figure._repr_png_ = partial(drawn, figure, ".png")  # type: ignore[attr-defined]
    return figure


def headline(figure: "Figure", title: str, subtitle: str) -> None:
    text = f"{title}\n{subtitle}" if subtitle else title
    figure.suptitle(text, x=0.02, ha="left", fontsize=11, color=INK, wrap=True)


def take_literally(figure: "Figure") -> None:
    """Show names of others as they are: a dollar is a dollar, and letters have the fonts that have them."""
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text

    installed = set(fontManager.get_font_names())
    others = [name for name in OTHER_SCRIPTS if name in installed]
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        if others and not text.get_text().isascii():
            text.set_fontfamily([*text.get_fontfamily(), *others])


def save_as(figure: "Figure", place: IO[bytes], **look: Any) -> None:
    """Save a figure that may hold names of others; a letter that no font here has is a box."""
    take_literally(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(place, **look)


N_COLOURS = 256  # of a PNG: a third of the size, and nothing to see


def picture(figure: "Figure", suffix: str = ".png") -> bytes:
    """Return the file of a figure, as `drawn` does; a PNG has fewer colours."""
    data = drawn(figure, suffix)
    if suffix == ".png":
        from PIL import Image

        few = BytesIO()
        with Image.open(BytesIO(data)) as image:
            image.convert("RGB").quantize(N_COLOURS, dither=Image.Dither.NONE).save(few, "PNG", optimize=True)
        data = few.getvalue()
    return data


def drawn(figure: "Figure", suffix: str) -> bytes:
    """Return the file of a figure, in the format of a suffix such as ".png"; matplotlib's `ValueError` for none.

    In memory: a file that is opened again by its name may be a link by then, in a folder that others write to.
    """
    content = BytesIO()
    save_as(figure, content, dpi=DPI, format=suffix.lower().removeprefix(".") or None)
    return content.getvalue()
