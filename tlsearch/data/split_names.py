"""Which split a folder's name means."""

import re

from tlsearch.data.references import TEST, TRAIN, VAL

FIRST_NAMES = {  # those of version 0.2.0
    "train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST
}  # fmt: skip
_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "validating", "vali", "vld", "dev", "devel",
         "development", "eval", "evaluation", "evaluate"), VAL,
    ),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout", "unseen"), TEST),
}  # fmt: skip
_FILLERS = (
    "dataset", "set", "data", "images", "image", "imgs", "img", "photos", "pictures", "pics",
    "samples", "split", "folder", "dir", "files",
)  # fmt: skip


def split_of(name: str) -> str | None:
    """Return the split that a folder's name means: `train_set`, `02-Validation`, `testImages`.

    None where it means none, or could mean several.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(r"hold[\W_]?out", "holdout", spaced)
    spaced = re.sub(r"held[\W_]?out", "heldout", spaced)
    words = [_without_fillers(word) for word in re.split(r"[\W\d_]+", spaced)]
    meant = [word for word in words if word]
    return _WORDS.get(meant[0]) if len(meant) == 1 else None


def first_split_of(name: str) -> str | None:
    """Return the split that version 0.2.0 took a folder for."""
    return FIRST_NAMES.get(name.lower())


def _without_fillers(word: str) -> str:
    for filler in _FILLERS:
        if word == filler:
            return ""
        shorter = word.removesuffix(filler)
        if shorter != word and shorter in _WORDS:
            return shorter
    return word
