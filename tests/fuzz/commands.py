"""What becomes of odd specs and in odd environments, counted.

python -m tests.fuzz.commands N_SPECS N_ENVIRONMENTS
"""

import contextlib
import io
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from tests.fuzz.environments import Ended, Environment, odd_environment, run
from tests.fuzz.specs import PLAIN, odd_spec

HANG_SECONDS = 20.0
TIMEOUT_SECONDS = 240.0  # on a busy machine a start takes long
DONE, REFUSED = "done", "refused"


@dataclass
class Outcomes:
    """What became of the inputs of one kind.

    Attributes:
        counts: by word: done, refused in sentences, tracebacks, hangs, odd ends.
        faults: what must not happen, with its seed.
        longest: seconds that one took.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest: float = 0.0

    def note(self, what: str, word: str, seconds: float, detail: str = "") -> None:
        """Count one input."""
        self.counts[word] += 1
        self.longest = max(self.longest, seconds)
        if word not in (DONE, REFUSED):
            self.faults.append(f"{word}: {what}: {detail[-1500:]}")


def make_corner(folder: Path) -> tuple[Path, Path]:
    """Make a few images and the odd files that odd specs name; return images and weights."""
    import safetensors.torch

    from tlsearch.backbones import build

    images = folder / "images"
    for label in ("cat", "dog"):
        (images / label).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng([i, len(label)]).integers(0, 256, (24, 20, 3), np.uint8)
            Image.fromarray(pixels).save(images / label / f"{i}.png")
    weights = folder / "tiny.safetensors"
    safetensors.torch.save_file(build("test_efficientnet", 1000, seed=3).state_dict(), weights)
    (folder / "w.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "w.pth").write_bytes(b"rubbish")
    (folder / "empty.npz").write_bytes(b"")
    os.mkfifo(folder / "pipe.npz")
    (folder / "loop").symlink_to("loop")
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0)
    return images, weights


def specs(folder: Path, seeds: Sequence[int]) -> Outcomes:
    """Check so many odd specs."""
    images, weights = make_corner(folder)
    found = Outcomes()
    for seed in seeds:
        path = folder / "self.toml"
        path.write_bytes(odd_spec(seed, images, weights))
        begun = time.monotonic()
        word, detail = check(path)
        seconds = time.monotonic() - begun
        found.note(f"spec {seed}", word if seconds < _patience() else "hangs", seconds, detail)
    return found


def check(path: Path, *options: str) -> tuple[str, str]:
    """Run `tlsearch check` in this process; return a word for what became of it, and its words."""
    from tlsearch.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["tlsearch", "check", str(path), *options]),
        mock.patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException as error:
            return "tracebacks", f"{type(error).__name__}: {error}"
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    said = err.getvalue().splitlines()
    if code == 0:
        return DONE, out.getvalue()
    if code != 2 or not said or not all(line.startswith("error: ") for line in said):
        return "odd ends", f"{code} {err.getvalue()}"
    return REFUSED, ""


def environments(
    folder: Path, seeds: Sequence[int], storage: str, commands: Sequence[Sequence[str]]
) -> Outcomes:
    """Run commands in so many odd environments."""
    found = Outcomes()
    for seed in seeds:
        odd = odd_environment(seed, commands)
        place = folder / f"env{seed}"
        place.mkdir()
        ended = run(odd, place, storage, TIMEOUT_SECONDS)
        found.note(f"environment {seed} {odd}", judge(odd, ended), ended.seconds, ended.output)
        if odd.own_server:
            stop_server(odd, place)
    return found


def judge(odd: Environment, ended: Ended) -> str:
    """Return a word for how a command ended.

    A hang is time that neither its own work nor a busy machine explains.
    """
    if ended.returncode is None or ended.seconds > _patience() + 10 * ended.cpu_seconds:
        return "hangs"
    if any(word in ended.output for word in ("Traceback", "Exception ignored", "Fatal Python")):
        return "tracebacks"
    if ended.returncode == 0:
        return DONE
    if ended.returncode in (1, 2):
        return REFUSED if _says_why(odd, ended) else "odd ends"
    return "odd ends"


def stop_server(odd: Environment, place: Path) -> None:
    """Stop the server that the environment's home may have got."""
    again = Environment(["db", "stop"], home=odd.home, own_server=True)
    rest = place / "rest"
    rest.mkdir(exist_ok=True)
    homes = {"missing": "missing/a/b", "latin": os.fsdecode(b"caf\xe9")}
    name = homes.get(odd.home or "", odd.home or "")
    again.home = None
    again.variables = {"XDG_DATA_HOME": str(place / name), "TLSEARCH_STORAGE": None}
    if odd.home == "rel":
        again.variables["XDG_DATA_HOME"] = str(place / "work" / "relative/home")
    run(again, rest, "", 60)


def _says_why(odd: Environment, ended: Ended) -> bool:
    """Whether there is a sentence, or none can be seen."""
    shown = odd.streams[2] in ("pipe", "file") and odd.limits == {}
    return bool(ended.output.strip()) or not shown or "unread" in odd.streams


def _patience() -> float:
    """Return how many seconds are no hang: a busy machine needs more."""
    return HANG_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def table(rows: dict[str, Outcomes]) -> Iterator[str]:
    """Yield a table in Markdown, and what went wrong."""
    yield "| input | n | done | refused in sentences | tracebacks | hangs | other ends |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, found in rows.items():
        words = (DONE, REFUSED, "tracebacks", "hangs", "odd ends")
        cells = [name, sum(found.counts.values()), *(found.counts[word] for word in words)]
        yield f"| {' | '.join(map(str, cells))} |"
    for found in rows.values():
        yield from found.faults


def main() -> None:
    """Run so many of each, and print the table."""
    n_specs, n_environments = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {"specs": specs(folder, range(n_specs))}
        print("\n".join(table(rows)), flush=True)
        if n_environments:
            storage = os.environ["TLSEARCH_STORAGE"]
            commands = [["status", "tiny"], ["best", "tiny"], ["best", "tiny", "--json"]]
            commands += [["prior", "tiny"], ["budget", "tiny"], ["--help"], ["db", "url"]]
            commands += [["check", str(folder / "plain.toml")], ["nonsense"], ["status", "none"]]
            (folder / "plain.toml").write_text(plain_spec(folder))
            rows["environments"] = environments(folder, range(n_environments), storage, commands)
            print("\n".join(table(rows)), flush=True)


def plain_spec(folder: Path) -> str:
    """Return a spec without oddities, on the images of `make_corner`."""
    return PLAIN.format(images=folder / "images", weights=folder / "tiny.safetensors")


if __name__ == "__main__":
    main()
