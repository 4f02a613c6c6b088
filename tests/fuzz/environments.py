"""Odd environments, each decided by a seed: locale, streams, limits, homes, variables."""

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOCALES = ["C", "POSIX", "C.UTF-8", "en_US.ISO-8859-1", "tr_TR.UTF-8", "nonsense", "", "ja_JP.SJIS"]
ENCODINGS = ["ascii", "latin-1", "cp1252", "utf-8", "utf-16", "cp437", "koi8-r", "ascii:replace"]
SIZES = ["0", "-1", "1", "3", "80", "", "wide", "²", "1e9", "99999999999999999999", " 80 "]
VARIABLES = {
    "TERM": ["dumb", "", "unknown", "xterm-256color", "é"],
    "NO_COLOR": ["1", ""],
    "FORCE_COLOR": ["1", "0", ""],
    "TTY_COMPATIBLE": ["1", "0", "x"],
    "UNICODE_VERSION": ["9", "latest", "nonsense"],
    "PYTHONUTF8": ["0", "1"],
    "PYTHONUNBUFFERED": ["1", ""],
    "PYTHONOPTIMIZE": ["2"],
    "PYTHONWARNINGS": ["error", "ignore", "nonsense"],
    "MPLBACKEND": ["nonsense", "agg"],
    "MPLCONFIGDIR": ["/dev/null", "/no/such"],
    "MATPLOTLIBRC": ["/dev/null", "/no/such"],
    "OMP_NUM_THREADS": ["0", "-1", "abc", "1", "9999"],
    "TZ": ["nonsense", "", "UTC", "Asia/Kathmandu", ":/etc/passwd"],
    "PGTZ": ["nonsense"],
    "PGHOST": ["/no/such", "nowhere.invalid"],
    "PGPORT": ["1", "x", "99999"],
    "PGUSER": ["nobody", ""],
    "PGDATABASE": ["nothing"],
    "PGPASSWORD": ["x"],
    "PGSERVICE": ["none"],
    "PGOPTIONS": ["-c work_mem=5MB", "-c no_such=1"],
    "PGCLIENTENCODING": ["LATIN1", "SQL_ASCII", "nonsense"],
    "PGSSLMODE": ["require", "nonsense"],
    "TLSEARCH_ARTIFACTS": ["", "/no/such/x", "/dev/null/x", "s3://", "ftp://x"],
    "PATH": ["", "/no/such"],
    "EDITOR": [""],
    "HF_HOME": ["/dev/null/x"],
    "TORCH_HOME": ["/dev/null/x"],
    "TMPDIR": ["/no/such", "/dev/null", ""],
    "LANGUAGE": ["de", "nonsense"],
    "GOMP_SPINCOUNT": ["x", "0"],
    "CUDA_VISIBLE_DEVICES": ["", "nonsense", "-1"],
}
HOMES = ["missing", "file", "locked", "latin", "quotes '\" $x `y` \\", "long" * 40, "a,b", "rel"]
STREAMS = ["pipe", "pipe", "pipe", "file", "full", "null", "closed", "unread"]
CANARY = "seen by nobody"


@dataclass
class Environment:
    """One odd environment.

    Attributes:
        command: what is run in it.
        variables: set; None = unset.
        home: for XDG_DATA_HOME and HOME; None = as they are.
        streams: of 0, 1 and 2.
        limits: of the process, by resource.
        ignored: signals that are ignored.
        umask: None = as it is.
        folder_gone: whether the working folder was deleted.
        own_server: whether the embedded server of the home is used.
    """

    command: list[str]
    variables: dict[str, str | None] = field(default_factory=dict)
    home: str | None = None
    streams: tuple[str, str, str] = ("null", "pipe", "pipe")
    limits: dict[int, int] = field(default_factory=dict)
    ignored: list[signal.Signals] = field(default_factory=list)
    umask: int | None = None
    folder_gone: bool = False
    own_server: bool = False


def odd_environment(seed: int, commands: Sequence[Sequence[str]]) -> Environment:
    """Return an environment with one to five oddities."""
    chance = random.Random(seed)
    found = Environment(list(chance.choice(commands)))
    for _ in range(chance.choice([1, 2, 3, 5])):
        chance.choice(_ODDITIES)(chance, found)
    return found


def _locale(chance: random.Random, found: Environment) -> None:
    found.variables |= {chance.choice(["LC_ALL", "LANG", "LC_CTYPE"]): chance.choice(LOCALES)}
    found.variables |= {"PYTHONIOENCODING": chance.choice([*ENCODINGS, None])}


def _sizes(chance: random.Random, found: Environment) -> None:
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        found.variables[name] = chance.choice(SIZES)


def _variable(chance: random.Random, found: Environment) -> None:
    name = chance.choice(list(VARIABLES))
    found.variables[name] = chance.choice([*VARIABLES[name], None])


def _home(chance: random.Random, found: Environment) -> None:
    found.home = chance.choice(HOMES)
    found.own_server = chance.random() < 0.3


def _streams(chance: random.Random, found: Environment) -> None:
    stdin = chance.choice(["null", "closed", "pipe"])
    found.streams = (stdin, chance.choice(STREAMS), chance.choice(STREAMS))


def _limit(chance: random.Random, found: Environment) -> None:
    name, values = chance.choice(
        [
            (resource.RLIMIT_NOFILE, [8, 16, 64, 256]),
            (resource.RLIMIT_FSIZE, [0, 4096, 1 << 20]),
            (resource.RLIMIT_AS, [100 << 20, 400 << 20, 2 << 30]),
            (resource.RLIMIT_STACK, [1 << 20]),
            (resource.RLIMIT_CORE, [0]),
        ]
    )
    found.limits[name] = chance.choice(values)


def _signals(chance: random.Random, found: Environment) -> None:
    found.ignored = chance.sample([signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM], 2)


def _rights(chance: random.Random, found: Environment) -> None:
    found.umask = chance.choice([0, 0o777, 0o077])
    found.folder_gone = chance.random() < 0.5


_ODDITIES: list[Callable[[random.Random, Environment], None]] = [
    _locale,
    _sizes,
    _variable,
    _variable,
    _home,
    _streams,
    _streams,
    _limit,
    _signals,
    _rights,
]


@dataclass(frozen=True)
class Ended:
    """How a command ended in an odd environment; `output` is of both streams, where read."""

    returncode: int | None
    output: str
    seconds: float
    cpu_seconds: float


def run(found: Environment, place: Path, storage: str, timeout: float) -> Ended:
    """Run the command in its environment.

    Args:
        found: the environment.
        place: an empty folder for its home and its files.
        storage: the database, unless it uses a server of its own.
        timeout: seconds; then it is killed, and has no exit code.
    """
    home = _make_home(found.home, place) if found.home else None
    variables = os.environ | {"TLSEARCH_STORAGE": storage, "HF_HUB_OFFLINE": "1"}
    if home is not None:
        variables |= dict.fromkeys(("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"), home)
        if found.own_server:
            del variables["TLSEARCH_STORAGE"]
    for name, value in found.variables.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    files = [
        _open(kind, place / f"stream{number}", number) for number, kind in enumerate(found.streams)
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = place / "work"
    work.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _PRELUDE, repr(_settings(found, work)), *found.command],
        env=variables,
        stdin=files[0],
        stdout=files[1],
        stderr=files[2],
        cwd=work,
        text=True,
        errors="replace",
    )
    return _ended(process, before, timeout, place)


def _ended(
    process: "subprocess.Popen[str]", before: resource.struct_rusage, timeout: float, place: Path
) -> Ended:
    import time

    begun = time.monotonic()
    try:
        outputs = process.communicate(timeout=timeout)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        outputs, code = process.communicate(), None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path.read_text(errors="replace") for path in place.glob("stream*") if path.is_file()]
    output = "\n".join([*(each or "" for each in outputs), *files])
    return Ended(code, output, time.monotonic() - begun, cpu)


def _settings(found: Environment, work: Path) -> dict[str, object]:
    """Return what is set in the process itself, before tlsearch begins."""
    closed = [number for number, kind in enumerate(found.streams) if kind == "closed"]
    return {
        "limits": found.limits,
        "ignored": [int(number) for number in found.ignored],
        "umask": found.umask,
        "gone": str(work) if found.folder_gone else None,
        "closed": closed,
    }


# Runs before exec, in a Python that has nothing of tlsearch: a limit is then there from the start.
_PRELUDE = """
import ast, os, resource, signal, sys
settings = ast.literal_eval(sys.argv[1])
for number in settings["ignored"]: signal.signal(number, signal.SIG_IGN)
if settings["umask"] is not None: os.umask(settings["umask"])
if settings["gone"]: os.rmdir(settings["gone"])
for number in settings["closed"]: os.close(number)
for name, value in settings["limits"].items(): resource.setrlimit(name, (value, value))
os.execv(sys.executable, [sys.executable, "-m", "tlsearch", *sys.argv[2:]])
"""


def _open(kind: str, path: Path, number: int) -> int:
    if kind == "pipe":
        return subprocess.PIPE
    if kind == "full" and number:
        return os.open("/dev/full", os.O_WRONLY)
    if kind == "file" and number:
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    if kind == "unread" and number:
        read, write = os.pipe()
        os.close(read)
        return write
    return os.open(os.devnull, os.O_RDWR)


def _make_home(kind: str, place: Path) -> str:
    if kind == "latin":
        folder = os.fsencode(place) + b"/caf\xe9"
        os.mkdir(folder)
        return os.fsdecode(folder)
    if kind == "rel":
        return "relative/home"
    path = place / kind
    if kind == "missing":
        return str(path / "a" / "b")
    if kind == "file":
        path.write_text("no folder")
        return str(path)
    path.mkdir()
    if kind == "locked":
        path.chmod(0o000)
    return str(path)
