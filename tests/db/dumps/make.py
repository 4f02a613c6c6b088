"""Makes tests/db/dumps/VERSION.sql: a database as an earlier version of tlsearch leaves it.

    python -m tests.db.dumps.make CHECKOUT tests/db/dumps/0.1.0.sql

CHECKOUT is a working tree of that version, whose commands run here on a server of their own. Two
studies are left, with a network of random weights that `tests/acceptance/conftest.py` makes again:

- `done`, complete, with measures and a prior;
- `half`, with trials left to run: some complete, one pruned, one that failed, one that a signal
  preempted, one whose worker was killed, and one that ended in an exception.

Names of the machine are replaced, and owners left out. The script fits version 0.1.0: another one
may have other commands, and other functions to call for the exception.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

SPEC = """
name = "{name}"

[data]
path = "builtin:fashion-mnist-30"
train_per_class = 8
val_per_class = 5

[backbone]
model = "test_efficientnet"
weights = "{weights}"

[recipe]
image_size = 32
epochs = {epochs}
warmup_epochs = 0
eval_crop = 1.0

[measures]
when = "{measures}"

[space]
high_lr = [0.001, 10.0]
beta = [1e-6, 10.0]

[sampler]
name = "tpe"
startup_trials = 4

[pruner]
name = "median"
warmup_fraction = 0.25
startup_trials = 2

[budget]
trials = {trials}

[workers]
heartbeat_seconds = 1
stalled_after_seconds = 3
"""
WEIGHTS = "/tmp/tlsearch-dump-weights.safetensors"  # the path is in the specs
MAKE_WEIGHTS = (
    "import sys, safetensors.torch; from tlsearch.backbones import build\n"
    "weights = build('test_efficientnet', 1000, seed=3).state_dict()\n"
    "safetensors.torch.save_file(weights, sys.argv[1])"
)
# What a worker leaves that met an exception in the trial queued last, which is to be tried again.
# It first takes the one that was preempted, and is preempted from that as well.
EXCEPTION = """
DO $$ DECLARE
    half integer := (SELECT study_id FROM studies WHERE study_name = 'half');
    worker record;
    first record;
    second record;
    tokens uuid[] := ARRAY[gen_random_uuid(), gen_random_uuid()];
BEGIN
    SELECT * INTO worker FROM tlsearch.worker_sessions ORDER BY started_at LIMIT 1;
    SELECT * INTO first FROM tlsearch.claim_trial(half, worker.worker_id, tokens[1], 0, 3, 3);
    SELECT * INTO second FROM tlsearch.claim_trial(half, worker.worker_id, tokens[2], 0, 3, 3);
    ASSERT first.claimed_attempt = 2 AND second.claimed_attempt = 1;
    PERFORM tlsearch.hand_back(
        second.claimed_id, tokens[2], 'error', 'ValueError: no such thing: x', 3, '{}', '{}',
        NULL);
    PERFORM tlsearch.hand_back(
        first.claimed_id, tokens[1], 'preempted', 'SIGTERM on ' || worker.name, 3, '{}', '{}',
        NULL);
END $$"""
NEUTRAL = """
UPDATE tlsearch.worker_sessions SET host = 'gpu-1', device_name = 'x86_64',
    name = regexp_replace(name, '^[^:]+:', 'gpu-1:');
UPDATE tlsearch.attempts SET reason =
    regexp_replace(reason, '(on |^)[^ :]+(:[0-9]+:)', '\\1gpu-1\\2');
UPDATE trial_user_attributes SET value_json =
    regexp_replace(value_json, '(on |: |^")[^ :"]+(:[0-9]+:cpu)', '\\1gpu-1\\2')
WHERE key IN ('worker', 'reason')"""


@dataclass(frozen=True)
class Version:
    """The earlier version at work: its checkout, and a folder of its own for data and server."""

    checkout: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TLSEARCH_"))}
        folders = {"XDG_DATA_HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")}
        return kept | folders | {"PYTHONPATH": str(self.checkout), "OMP_NUM_THREADS": "1"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a Python process."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.home,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *command: str, rc: int = 0) -> str:
        """Run a Python process to its end and return what it printed."""
        process = self.start(*command)
        stdout, stderr = process.communicate()
        assert process.returncode == rc, (command, process.returncode, stderr)
        return stdout

    def tlsearch(self, *args: str, rc: int = 0) -> str:
        """Run a command of tlsearch."""
        return self.run("-m", "tlsearch", *args, rc=rc)

    def create(self, name: str, trials: int, epochs: int, measures: str) -> None:
        """Create a study."""
        path = self.home / f"{name}.toml"
        values = {"trials": trials, "epochs": epochs, "measures": measures, "weights": WEIGHTS}
        path.write_text(SPEC.format(name=name, **values))
        self.tlsearch("create", str(path))


class Database:
    """The database, to look into and to change by SQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = psycopg2.connect(url)
        self._session.autocommit = True

    def ask(self, query: str) -> Sequence[Any]:
        """Run statements and return the rows of the last one."""
        with self._session.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def n_trials(self, state: str) -> int:
        """Return how many trials of `half` are in a state."""
        ((n,),) = self.ask(
            "SELECT count(*) FROM trials JOIN studies USING (study_id)"
            f" WHERE study_name = 'half' AND state = '{state}'"
        )
        return int(n)

    def wait_until_training(self) -> None:
        """Wait until a trial that runs has trained and kept two epochs."""
        query = "SELECT 1 FROM tlsearch.attempts WHERE ended IS NULL AND checkpoint_epoch >= 2"
        while not self.ask(query):
            time.sleep(0.01)

    def close(self) -> None:
        """End the session."""
        self._session.close()


def interrupt(version: Version, database: Database, number: signal.Signals) -> None:
    """Let a worker begin a trial, and send it a signal."""
    worker = version.start("-m", "tlsearch", "worker", "half")
    database.wait_until_training()
    worker.send_signal(number)
    worker.communicate()


def make(version: Version, target: Path) -> None:
    """Make the studies and write the dump."""
    version.run("-c", MAKE_WEIGHTS, WEIGHTS)
    version.create("done", trials=7, epochs=2, measures="worker")
    version.tlsearch("worker", "done")
    version.create("half", trials=14, epochs=20, measures="off")
    database = Database(version.tlsearch("db", "url", "--show-password").strip())
    while not (database.n_trials("PRUNED") and database.n_trials("COMPLETE") >= 2):
        version.tlsearch("worker", "half", "--trials", "1")
    version.tlsearch("enqueue", "half", "--set", "high_lr=10", "--set", "beta=10")
    while not database.n_trials("FAIL"):
        version.tlsearch("worker", "half", "--trials", "1")
    interrupt(version, database, signal.SIGKILL)
    time.sleep(4)  # longer than stalled_after_seconds
    version.tlsearch("worker", "half", "--trials", "1")
    interrupt(version, database, signal.SIGTERM)
    version.tlsearch("enqueue", "half", "--set", "high_lr=0.5")
    database.ask(EXCEPTION)
    database.ask(NEUTRAL)
    target.write_text(dump(version, database))
    database.close()


def dump(version: Version, database: Database) -> str:
    """Return the database as SQL."""
    find = "from tlsearch.store.cluster import binary; print(binary('pg_dump'))"
    program = version.run("-c", find).strip()
    options = ["--no-owner", "--no-privileges", "--no-comments", "--rows-per-insert=1000"]
    command = [program, *options, database.url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"^(--.*|\\(un)?restrict .*|)\n", "", text, flags=re.MULTILINE)


def main() -> None:
    """Run the earlier version's commands in a temporary folder."""
    checkout, target = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="tlsearch-dump-") as home:
        version = Version(checkout.absolute(), Path(home))
        try:
            make(version, target.absolute())
        finally:
            version.tlsearch("db", "stop")


if __name__ == "__main__":
    main()
