"""Figures under matplotlib's own defaults, whatever a user's or a folder's matplotlibrc says."""

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def own_defaults() -> Iterator[None]:
    """Draw under matplotlib's own defaults, and say nothing on the way, until the block ends."""
    log = logging.getLogger("matplotlib")  # it warns of bad settings, and of fonts it looks for
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        matplotlib = _matplotlib()
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a character that no font has is drawn as a box
            matplotlib.rcdefaults()
            yield
    finally:
        log.setLevel(level)


def drawable(text: str) -> str:
    """Return text without what cannot be drawn, and without formulas, which `$` would begin."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown.replace("$", r"\$")


def _matplotlib() -> ModuleType:
    """Import matplotlib, if need be without settings of the user's that keep it from that."""
    try:
        import matplotlib
    except ImportError:
        raise
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        with _without_settings():
            import matplotlib
    return matplotlib


@contextmanager
def _without_settings() -> Iterator[None]:
    """Hide the user's settings: the folder's come first, then the environment's, then ~'s."""
    spec = importlib.util.find_spec("matplotlib")
    own = Path(spec.origin if spec and spec.origin else "").parent / "mpl-data" / "matplotlibrc"
    before = {name: os.environ.get(name) for name in ("MPLBACKEND", "MATPLOTLIBRC")}
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.chdir("/")
        os.environ.pop("MPLBACKEND", None)
        os.environ["MATPLOTLIBRC"] = str(own)
        yield
    finally:
        os.fchdir(here)
        os.close(here)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
