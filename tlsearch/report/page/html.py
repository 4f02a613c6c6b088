"""The page: sections become HTML that asks nothing of the network."""

import base64
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tlsearch.report.page.section import Section
from tlsearch.report.page.words import shown_name

if TYPE_CHECKING:
    from jinja2 import Template

_HERE = Path(__file__).parent


def page(study_name: str, sections: Sequence[Section], made_at: datetime) -> str:
    """Return the page.

    Args:
        study_name: the study's name, any text.
        sections: in the order of the page.
        made_at: when the report is made.
    """
    return _template().render(
        name=shown_name(study_name),
        sections=sections,
        made_at=f"{made_at:%Y-%m-%d %H:%M %Z}",
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
    )


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("page.html")


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
