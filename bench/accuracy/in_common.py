"""How much of the noise of an accuracy do two networks have in common on the same images?

    python -m bench.accuracy.in_common

Two accuracies on the same images differ by less than two on images of their own, as networks that
start from the same weights are mostly wrong on the same images. For each pair of trained arms and
each seed in `results`: the variance of the difference (McNemar's, by the images on which one alone
is right) as a share of the sum of both variances. 1 = nothing in common. The estimate of a
trial's expected accuracy takes half (`tlsearch/estimate/process.py`). Prints Markdown.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from .places import RESULTS

TRAINED = ("default", "timm_adamw", "tlsearch_0_1", "tlsearch")


def main() -> None:
    """Print a row a set of images."""
    print("| set | test images | pairs | mean share | least | most |\n|---|---|---|---|---|---|")
    for path in sorted(RESULTS.glob("*.jsonl")):
        head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        labels = np.array(list(head["labels"]))
        shares = [share(one, other, labels) for one, other in pairs(lines)]
        cells = [head["target"], str(len(labels)), str(len(shares))]
        cells += [f"{value:.2f}" for value in (fmean(shares), min(shares), max(shares))]
        print(f"| {' | '.join(cells)} |")


def pairs(lines: Sequence[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield the predictions of two trained networks of one seed; of a search its best trial's."""
    for seed in sorted({line["seed"] for line in lines}):
        found = []
        for line in lines:
            if line["seed"] == seed and line["arm"] in TRAINED:
                best = line.get("others", {}).get("best_trial", line)
                found.append(np.array(list(best["predictions"])))
        yield from itertools.combinations(found, 2)


def share(one: Any, other: Any, labels: Any) -> float:
    """Return the variance of the difference over the sum of both variances."""
    right, also = (one == labels).astype(float), (other == labels).astype(float)
    return float((right - also).var() / (right.var() + also.var()))


if __name__ == "__main__":
    main()
