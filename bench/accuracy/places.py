"""Where the bench keeps what it fetches and makes, and the source trees that it compares."""

import fcntl
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import platformdirs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
EARLIER = "9e800cf"  # the tlsearch before it gave answers that beat the probe
CACHE_VARIABLE = "TLSEARCH_BENCH_CACHE"
_CODE = ("*.py", "*.sql", "*.c", "pyproject.toml", "constraints.txt")
_children: set[subprocess.Popen[str]] = set()


class Absent(Exception):
    """Something that a part of the bench needs is not here; the message says what."""


@dataclass(frozen=True)
class Tree:
    """A source tree of tlsearch.

    Attributes:
        folder: its root.
        commit: what it is at, with `-dirty` where code differs; results that a run writes are none.
    """

    folder: Path
    commit: str


def cache() -> Path:
    """Return the bench's folder for images, studies and environments; users may delete it."""
    given = os.environ.get(CACHE_VARIABLE)
    path = Path(given) if given else platformdirs.user_cache_path("tlsearch-bench") / "accuracy"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextmanager
def only_run() -> Iterator[None]:
    """Keep other runs out of the cache: they would use the same folders and databases.

    Raises:
        Absent: there is another run.
    """
    with (cache() / "run.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = f"wait for it, or set {CACHE_VARIABLE} to another folder"
            raise Absent(f"another run uses {cache()}: {hint}") from None
        yield


def shared() -> Path:
    """Return the folder of images beside the checkout, or beside the one of this worktree."""
    beside = ROOT.parent / "shared"
    common = _git(ROOT, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return beside if beside.is_dir() or not common else Path(common).parent.parent / "shared"


@functools.cache
def present_tree() -> Tree:
    """Return the tree that this file is in."""
    return Tree(ROOT, _commit(ROOT))


def earlier_tree() -> Tree:
    """Return a worktree of the earlier commit, made in the cache if need be.

    Raises:
        Absent: the repository does not have the commit.
    """
    folder = cache() / f"tree-{EARLIER}"
    if not (folder / "tlsearch").is_dir():
        for arguments in (["worktree", "prune"], ["worktree", "add", "--detach", folder, EARLIER]):
            done = subprocess.run(
                ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise Absent(f"no worktree of {EARLIER}: {done.stderr.strip()}")
    return Tree(folder, _commit(folder))


def environment(tree: Tree, more: Mapping[str, str | Path] | None = None) -> dict[str, str]:
    """Return the environment of a process with one thread that uses a tree and no other place."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TLSEARCH_")}
    ours = {"PYTHONPATH": tree.folder, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}
    ours |= {CACHE_VARIABLE: cache(), **(more or {})}
    return kept | {name: str(value) for name, value in ours.items()}


def python(tree: Tree, arguments: Sequence[str | Path], more: Mapping[str, str | Path]) -> str:
    """Run this interpreter with a tree and return what it printed.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    return call([sys.executable, *arguments], environment(tree, more), tree.folder)


def call(command: Sequence[str | Path], env: Mapping[str, str], folder: Path) -> str:
    """Run a command and return what it printed.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        _children.add(process)
        try:
            printed, said = process.communicate()
        except BaseException:
            process.terminate()
            raise
        finally:
            _children.discard(process)
    if process.returncode:
        end = (printed + said).strip()[-2000:]
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {end}")
    return printed


def end_children_on_sigterm() -> None:
    """Let SIGTERM end what `call` runs, too."""

    def end(*_: int | FrameType | None) -> None:
        for process in tuple(_children):
            process.terminate()
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def _commit(folder: Path) -> str:
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return commit + "-dirty" * bool(changed) if commit else "unknown"


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says, or nothing where it fails."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
