"""How long `tlsearch check` and `tlsearch create` take on many files, beside decoding alone.

    python -m bench.engine.reading FOLDER --threads 2     # Pillow alone; prints a line of JSON

The limit is Pillow's: open each file and decode it whole, in as many threads as tlsearch reads
with, and do nothing else. `check` and `create` also read what the files say of themselves, resize,
compare all images with one another, and write the cache.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from .process import run
from .trial import MODEL, WEIGHTS, used

Line = dict[str, Any]
ALONE, CHECK, CREATE, AFTER_CHECK = "decoding alone", "check", "create", "create after check"
SIZE = 224
_COMMAND = [sys.executable, "-m", "tlsearch"]


def measured(folder: Path, threads: int) -> Iterator[Line]:
    """Yield a line for each thing that reads the files.

    Raises:
        RuntimeError: a command failed; with the end of what it said.
    """
    for path in sorted(folder.rglob("*.jpg")):
        path.read_bytes()  # so that all find them in memory
    alone = [sys.executable, "-m", "bench.engine.reading", f"{folder}", "--threads", f"{threads}"]
    yield {"what": ALONE, **run(alone, os.environ).json}
    with tempfile.TemporaryDirectory() as home:
        spec = Path(home) / "study.toml"
        places = {"XDG_DATA_HOME": f"{home}/data", "TLSEARCH_ARTIFACTS": f"{home}/artifacts"}
        with _server(places):
            for what, word, cache in (
                (CHECK, "check", "first"),
                (AFTER_CHECK, "create", "first"),
                (CREATE, "create", "second"),
            ):
                spec.write_text(_spec(folder, f"reading-{cache}"))
                command = [*_COMMAND, word, f"{spec}"]
                yield {
                    "what": what,
                    **_run(command, places | {"XDG_CACHE_HOME": f"{home}/{cache}"}),
                }


def decode_all(folder: Path, threads: int) -> int:
    """Decode every file and return how many they are."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.load()

    paths = sorted(folder.rglob("*.jpg"))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(decode, paths):
            pass
    return len(paths)


def _spec(folder: Path, name: str) -> str:
    lines = {
        "name": name,
        "data.path": f"{folder}",
        "backbone.model": MODEL,
        "backbone.weights": WEIGHTS,
    }
    words = [f"{key} = {json.dumps(value)}" for key, value in lines.items()]
    return "\n".join([*words, f"recipe.image_size = {SIZE}", "budget.trials = 4", ""])


@contextmanager
def _server(places: Mapping[str, str]) -> Iterator[None]:
    """Let an embedded PostgreSQL of the bench's own run meanwhile."""
    _run([*_COMMAND, "db", "start"], places)
    try:
        yield
    finally:
        _run([*_COMMAND, "db", "stop"], places)


def _run(command: Sequence[str], more: Mapping[str, str]) -> Line:
    """Run a command and return its seconds, of CPU too, and the peak of its memory."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TLSEARCH_")}
    ran = run(command, kept | dict(more))
    used = {"cpu_seconds": ran.cpu_seconds, "peak_mb": ran.peak_mb}
    return {"seconds": ran.seconds, **used, "said": ran.text}


def main() -> None:
    """Decode all files of a folder and print how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    began = time.perf_counter()
    n = decode_all(given.folder, given.threads)
    print(json.dumps({"n": n, "seconds": time.perf_counter() - began, **used()}))


if __name__ == "__main__":
    main()
