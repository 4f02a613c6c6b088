"""What can go wrong, as a tree.

TlsearchError                 one sentence: what, where, what to do
|-- InputError                something the user gave does not fit (exit code 2)
|   |-- SpecError             the study spec; carries every problem found
|   |-- DataError             images, labels, splits
|   |-- BackboneError         model names, weights, layers
|   |-- StorageError          the database cannot be reached or refuses
|   |-- StudyError            no such study, or another one under that name
|   |-- ExportError           a folder of an exported model that cannot be written or used
|   `-- MemoryShortage        this machine or its GPU has too little memory
|-- TrialFailure              a trial cannot go on; carries a short `kind`
|-- Interrupted               a fine-tuning was asked to stop between two steps; carries a
|                             `checkpoint`
|-- CheckpointError           a checkpoint that cannot be used here
|-- TrialLost                 the trial now belongs to another worker
|-- DatabaseAway              the database stayed out of reach for longer than we wait
`-- WorkerStopped             the worker gave up after repeated failures (exit code 1)
"""

import errno
from collections.abc import Sequence


class TlsearchError(Exception):
    """Base of everything tlsearch raises on purpose; its text is meant for the user."""

    exit_code = 1


class InputError(TlsearchError):
    """Something the user gave does not fit."""

    exit_code = 2


class SpecError(InputError):
    """A study spec with one or more problems.

    Attributes:
        problems: one sentence a problem, in the order of the spec's keys.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(InputError):
    """Images, labels or splits that cannot be used; names of files are in it, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(on_one_line(message))


class BackboneError(InputError):
    """A model or weights that cannot be used."""


class StorageError(InputError):
    """The database cannot be reached or refuses."""


class StudyError(InputError):
    """No such study, or another one under that name."""


class ExportError(InputError):
    """A folder of an exported model that cannot be written or used; names are on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(on_one_line(message))


class MemoryShortage(InputError):
    """The machine, its GPU, or what this process may use of it, has too little memory."""


class TrialFailure(TlsearchError):
    """A trial that cannot go on.

    Attributes:
        kind: a short stable word (`nan`, `out_of_memory`, ...) that tells whether failures
            repeat.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class Interrupted(TlsearchError):
    """A fine-tuning that was asked to stop between two steps.

    Attributes:
        checkpoint: from which it can go on, in another process too.
    """

    def __init__(self, checkpoint: bytes) -> None:
        self.checkpoint = checkpoint
        super().__init__("the fine-tuning was asked to stop; it can go on from its checkpoint")


class CheckpointError(TlsearchError):
    """A checkpoint that cannot be used here."""


class TrialLost(TlsearchError):
    """The trial was taken over by another worker, or its study is gone."""


class DatabaseAway(TlsearchError):
    """The database stayed out of reach for longer than we wait."""


class WorkerStopped(TlsearchError):
    """The worker gave up after repeated failures of one kind."""


_BREAKS = frozenset("\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029")  # str.splitlines
_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "can't start new thread",  # no room for its stack
)


def is_memory_shortage(error: BaseException) -> bool:
    """Return whether an exception says that memory could not be had, of the host or of a GPU."""
    if isinstance(error, MemoryError | MemoryShortage):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error).lower()
    if isinstance(error, ImportError):  # a library that is not mapped
        return "failed to map segment" in said or "cannot allocate memory" in said
    return isinstance(error, RuntimeError) and any(words in said for words in _NO_MEMORY)


def on_one_line(text: str) -> str:
    r"""Write what would break or turn a line, in the name of a file say, as `\n` or `\u202e`."""
    return "".join(
        char
        if char.isprintable() or (char.isspace() and char not in _BREAKS) or _is_stand_in(char)
        else char.encode("unicode_escape").decode()
        for char in text
    )


def _is_stand_in(char: str) -> bool:
    """Whether a character stands for a byte that is no UTF-8; output knows what to do with it."""
    return "\udc80" <= char <= "\udcff"


def described(error: BaseException) -> str:
    """Return an exception's type and the first line of its text: `ValueError: too small`."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
