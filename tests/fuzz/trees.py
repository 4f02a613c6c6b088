"""Odd trees of folders, made from a seed."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.unit.data.made_files import png

_SPLITS = (
    "train",
    "val",
    "test",
    "training",
    "validation",
    "dev",
    "eval",
    "test_set",
    "Train",
    "holdout",
)
_CLASSES = (
    "cat", "dog", "owl", "Cat", "cat ", " dog", "caf\u00e9", "cafe\u0301", "\u732b", "\U0001f431",
    "a'b",
    'a"b', "a\\b", "a\nb", "a\tb", "[red]x[/red]", "%s", "{x}", "-x", "~", "x" * 200, "\u202eabc",
    "day1", "day2", "images", "data", "labels", "0", "1", "10", "nul", "NUL", "con", "a.b", "x.png",
    os.fsdecode(b"caf\xe9"), "fold1", "fold2", "*", "?", "$HOME", "`ls`", "a;b", "class",
)  # fmt: skip
_FOREIGN = (
    "@eaDir",
    "__MACOSX",
    ".git",
    ".thumbs",
    "lost+found",
    "$RECYCLE.BIN",
    ".ipynb_checkpoints",
)
_FILES = (
    "a.png", "b.PNG", "c.png", "d.jpg", "e", "f.txt", "g.HEIC", "h.dng", "i.zip", "\u00e9.png",
    "e\u0301.png", ".hidden.png", "Thumbs.db", "j.png.part", "k.jpeg ", "l\n.png", "m.xml", "n.svg",
    os.fsdecode(b"\xff.png"), "o" * 200 + ".png", "._p.png", "desktop.ini", "q.mp4", "r.jxl",
)  # fmt: skip


def odd_tree(root: Path, seed: int, links: bool = True) -> None:
    """Make a tree of folders; the same seed makes the same one.

    Args:
        root: where; the folder `store` beside it is what links lead to.
        seed: of all choices.
        links: whether folders may be linked.
    """
    rng = random.Random(seed)
    store = root.parent / "store"
    for folder in (root, store / "one" / "two"):
        folder.mkdir(parents=True, exist_ok=True)
    png(store / "one" / "x.png", np.full((4, 4), 9, np.uint8), 8)
    for folder in (store, store / "one", store / "one" / "two"):
        _fill(folder, rng, store, False, 4)
    folders = _folders(root, rng)
    for name in rng.sample(_FOREIGN, rng.randint(0, 2)):
        folders.append(rng.choice([root, *folders]) / name)
    for folder in folders:
        with suppress(OSError):  # a name may be taken by a file, or be too long
            folder.mkdir(parents=True, exist_ok=True)
    for folder in [root, *folders]:
        if folder.is_dir() and (folder != root or rng.random() < 0.3):
            _fill(folder, rng, store, links, rng.choice([0, 3, 6, 12]))
            if folder != root and rng.random() < 0.9:
                _some_images(folder, rng)


def _some_images(folder: Path, rng: random.Random) -> None:
    """Write images of plain names, as most folders have them."""
    for k in range(rng.randint(3, 6)):
        png(folder / f"plain{k}.png", np.full((4, 4), rng.randrange(256), np.uint8), 8)


def _folders(root: Path, rng: random.Random) -> list[Path]:
    classes = rng.sample(_CLASSES, rng.randint(1, 4))
    splits = rng.sample(_SPLITS, rng.randint(1, 3))
    around = root / rng.choice(_CLASSES)
    layouts = {
        "flat": [root / name for name in classes],
        "around": [around / name for name in classes],
        "inside": [root / name / split for name in classes for split in splits],
        "splits": [root / split / name for split in splits for name in classes],
        "random": _random_folders(root, rng),
    }
    return layouts[rng.choice([*layouts, "flat", "splits"])]


def _random_folders(root: Path, rng: random.Random) -> list[Path]:
    found = [root]
    for _ in range(rng.randint(0, 12)):
        found.append(rng.choice(found) / rng.choice(_CLASSES + _SPLITS))
    if rng.random() < 0.1:
        found.append(root.joinpath("deep", *["d"] * 500))
    return found[1:]


def _fill(folder: Path, rng: random.Random, store: Path, links: bool, n: int) -> None:
    for _ in range(n):
        name = rng.choice(_FILES)
        path = folder / (f"{rng.randrange(99)}{name}" if not name.startswith(".") else name)
        with suppress(OSError):
            _make(path, rng, store, links)


def _make(path: Path, rng: random.Random, store: Path, links: bool) -> None:
    what = rng.random()
    if path.exists() or path.is_symlink():
        return
    if what < 0.7:
        png(path, np.full((4, 4), rng.randrange(256), np.uint8), 8)
    elif what < 0.8:
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 40])))
    elif what < 0.83:
        os.mkfifo(path)
    elif what < 0.85:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(path.parent)  # a path of a socket is short
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)
    elif what < 0.9:
        nowhere = "nowhere" if rng.random() < 0.1 else "/dev/zero"
        path.symlink_to(rng.choice([store / "one" / "x.png", Path(nowhere)]))
    elif links:
        path.symlink_to(
            rng.choice(
                [store, store / "one", Path("."), Path(".."), Path("../.."), path.parent, path]
            )
        )
