"""Which statements does one trial send, according to the server's own log?

    OMP_NUM_THREADS=1 python bench/storage/statements.py [--arms ARM ...] [--existing 100]

Each arm runs two and then six trials; a trial is a quarter of the difference. Prints Markdown.
"""

import argparse

from arms import ARMS
from filled import copy_of, fill
from server import Logged, Server, running_server
from worker_processes import Load, run_workers

FEW, MANY = 2, 6


def logged(server: Server, filled: str, arm: str, n_trials: int) -> Logged:
    """Return what was logged while a worker started and ran `n_trials` trials."""
    database = copy_of(server, filled, f"logged_{n_trials}")
    server.log_statements(database)
    before = server.logged()
    run_workers(server, database, arm, Load(1, 600.0, n_trials))
    after = server.logged()
    server.execute(f"DROP DATABASE {database} WITH (FORCE)")
    return Logged(*(b - a for a, b in zip(before, after, strict=True)))


def main() -> None:
    """Print a line for each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--existing", type=int, default=100)
    given = parser.parse_args()
    print("| arm | statements | BEGIN, COMMIT, ROLLBACK, SET | pings |\n|---|---|---|---|")
    with running_server() as server:
        filled = fill(server, given.existing)
        for arm in given.arms:
            few, many = (logged(server, filled, arm, n) for n in (FEW, MANY))
            trial = [(b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True)]
            print(f"| {arm} |", " | ".join(f"{count:.1f}" for count in trial), "|", flush=True)


if __name__ == "__main__":
    main()
