"""How long an idle CPU thread of torch waits awake for work.

torch computes with OpenMP. With libgomp, a thread that is done before the others tries about
300,000 times (milliseconds) whether there is more to do before it sleeps. On a machine of its own
that is the fastest way; on a shared one it takes the core from threads that have work. We let it
try `SPIN_COUNT` times; bench/threads.md says why so many, and what it gains and costs.

libgomp reads its settings when it is loaded, that is with torch, so they have to be set before.
"""

import os
import sys
from collections.abc import Mapping

SPIN_COUNT = 3000

_VARIABLE = "GOMP_SPINCOUNT"
_USER_SETTINGS = (_VARIABLE, "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def with_short_spin(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose processes spin `SPIN_COUNT` times.

    One that already says how threads wait (`GOMP_SPINCOUNT`, `OMP_WAIT_POLICY`, `KMP_BLOCKTIME`)
    comes back as it is.
    """
    if any(name in environment for name in _USER_SETTINGS):
        return dict(environment)
    return {**environment, _VARIABLE: str(SPIN_COUNT)}


def spin_shortly() -> None:
    """Set it for this process and those that it starts; without effect once torch is loaded."""
    if "torch" not in sys.modules:
        os.environ.update(with_short_spin(os.environ))
