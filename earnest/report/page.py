"""From a template to a page that asks no host for anything; every text in it is escaped."""

import base64
from hashlib import sha256
from typing import Any

import earnest
from earnest.errors import MissingExtraError
from earnest.evaluation.report import spread_text
from earnest.printable import printable_lines


def render(template: str, **values: object) -> str:
    """Fill one of the package's templates.

    The page's policy forbids scripts, other hosts, and every style but the page's own, which is known by its hash.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtraError("Writing a page", "report") from None
    environment: Any = Environment(
        loader=PackageLoader("earnest.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    return str(
        environment.get_template(template).render(
            **values,
            style=Markup(style),
            style_hash=f"sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}",
            version=earnest.__version__,
            spread=spread_text,
        )
    )
