"""Where the bench keeps the images that it makes."""

import os
from pathlib import Path

import platformdirs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results"
CACHE_VARIABLE = "TLSEARCH_BENCH_CACHE"


def home() -> Path:
    """Return the bench's folder for images; users may delete it."""
    given = os.environ.get(CACHE_VARIABLE)
    path = (Path(given) if given else platformdirs.user_cache_path("tlsearch-bench")) / "engine"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()
