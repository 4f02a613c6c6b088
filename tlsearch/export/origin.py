"""Where pretrained weights come from, and under which licence: what is stated, never a guess."""

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tlsearch.backbones import hub_id_of, licence_of
from tlsearch.errors import ExportError
from tlsearch.spec import BackboneSpec

_PACKAGE = "package:"
_LONGEST = 100  # characters of a licence's name
_FILES = re.compile(r"^(LICEN[CS]E|COPYING)", re.IGNORECASE)
_HUB_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_HUB_IDS = {  # by the names that packages give them
    "apache 2.0": "apache-2.0",
    "apache license 2.0": "apache-2.0",
    "apache license, version 2.0": "apache-2.0",
    "apache software license 2.0": "apache-2.0",
    "bsd 2-clause license": "bsd-2-clause",
    "bsd 3-clause license": "bsd-3-clause",
    "mit license": "mit",
}
_CHECK = """\
Whether it may be that of this model also depends on the licence of the images: check it before you
share the model."""
_FILL_IN = """\
The licence of the pretrained weights is not known to the program that wrote this card, and it
chooses none{0}. **Fill it in before you share this model**: here, and in `license` above. What you
may do with it depends on the licence of those weights and of the images."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where pretrained weights come from.

    Attributes:
        base_model: their name on the hub; None where nothing states one.
        licence: the hub's word for their licence, else the words of whoever states it; None where
            nothing does.
        words: who states it, for the card.
    """

    base_model: str | None
    licence: str | None
    words: str

    @property
    def hub_licence(self) -> str | None:
        """The licence, where it may be one of the hub's words."""
        return self.licence if self.licence and _HUB_ID.fullmatch(self.licence) else None


def origin_of(
    backbone: BackboneSpec, base_model: str | None = None, licence: str | None = None
) -> Origin:
    """Return what is known of a network's pretrained weights.

    timm states the licence of weights that it downloads, a package that of those in it; of a file
    only the user knows.

    Args:
        backbone: the network and its weights.
        base_model: that the user gives; None = timm's.
        licence: the same.

    Raises:
        ExportError: the user gives no name, but several lines or nothing.
    """
    for option, value in (("base_model", base_model), ("licence", licence)):
        if value is not None and (not value.strip() or not value.isprintable()):
            raise ExportError(f"{option} {value!r}: is no name; give one line, such as apache-2.0")
    of_timm = backbone.weights == "timm"
    base_model = base_model or (hub_id_of(backbone.model) if of_timm else None)
    if licence is not None:
        words = f"`{licence}` is the licence that was given when this model was exported. {_CHECK}"
        return Origin(base_model, _hub_word(licence), words)
    if of_timm and (stated := licence_of(backbone.model)):
        words = f"`{stated}` is the licence that timm states for the pretrained weights. {_CHECK}"
        return Origin(base_model, stated, words)
    if backbone.weights.startswith(_PACKAGE):
        return _of_package(backbone.weights.removeprefix(_PACKAGE), base_model)
    return Origin(base_model, None, _FILL_IN.format(""))


def _of_package(name: str, base_model: str | None) -> Origin:
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return Origin(base_model, None, _FILL_IN.format(f"; the package {name} is not here"))
    what = f"the package {name} {package.version}"
    for stated, where in ((_in_metadata(package), "the metadata"), _in_file(package)):
        if stated:
            words = (
                f"“{stated}” is what {where} of {what} state for it; the pretrained weights lie "
            )
            words += f"in it. {_CHECK}"
            return Origin(base_model, _hub_word(stated), words)
    return Origin(base_model, None, _FILL_IN.format(f"; {what} states none"))


def _in_metadata(package: Distribution) -> str | None:
    """Return what the fields of a package's metadata state: one licence, in one line."""
    fields = package.metadata
    classifiers = fields.get_all("Classifier") or []
    approved = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    named = [fields[key] for key in ("License-Expression", "License") if key in fields]
    stated = [*named, *approved]
    return next((line for each in stated if (line := _name(each))), None)


def _in_file(package: Distribution) -> tuple[str | None, str]:
    """Return the first line of a package's licence file, and what the file is called."""
    for path in package.files or ():
        if _FILES.match(path.name) and ".dist-info" in str(path.parent):
            text = Path(str(path.locate())).read_text(encoding="utf-8", errors="replace")
            first = text.strip().partition("\n")[0]
            return _name(first), f"the first words of the file {path.name}"
    return None, ""


def _name(stated: object) -> str | None:
    """Return a licence's name, where it is one: not UNKNOWN, and not the whole text."""
    line = str(stated or "").strip()
    is_name = line and line.upper() != "UNKNOWN" and len(line) <= _LONGEST and line.isprintable()
    return line if is_name else None


def _hub_word(stated: str) -> str:
    lower = " ".join(stated.lower().split())
    return _HUB_IDS.get(lower, lower if _HUB_ID.fullmatch(lower) else stated)
