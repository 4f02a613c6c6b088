"""Measures the targets of the table as a study of 40 trials does, and writes the results.

    python bench/search/measures.py [TARGET ...] [--storage URL]

Each target becomes a study `measured-TARGET` whose creation measures; results go to
`results/measures.json`, with seconds.
"""

import argparse
import json

from table import HERE, TARGETS, write_digits

from tlsearch.spec import BudgetSpec, MeasuresSpec, SamplerSpec, load_spec
from tlsearch.studies.create import create_study
from tlsearch.studies.read import StudyReader


def main() -> None:
    """Measure the named targets, and keep the results of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--storage", default=None)
    args = parser.parse_args()
    path = HERE / "results" / "measures.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    write_digits(HERE / "data" / "digits.npz")
    for target in args.targets or TARGETS:
        spec = load_spec(HERE / f"{target}.toml").model_copy(
            update={
                "name": f"measured-{target}",
                "measures": MeasuresSpec(when="create"),
                "sampler": SamplerSpec(),
                "budget": BudgetSpec(trials=40),
            }
        )
        create_study(spec, args.storage)
        found[target] = StudyReader(spec.name, args.storage).measures().as_dict()
        print(target, found[target])
        path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
