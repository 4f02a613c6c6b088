"""What the check of a study finds that is no error but should be known."""

from collections.abc import Iterator, Sequence

from tlsearch.data import Copy, as_text, decoded_bytes, free_bytes, narrow_range, spelled_alike
from tlsearch.errors import on_one_line
from tlsearch.finetune import few_values, steps_of
from tlsearch.studies.checked_study import CheckedStudy

_SHOWN = 3
_LEAVE_OUT = "check --write-manifest FILE.csv --drop-duplicates leaves them out"
_LARGE_SHARE = 0.1  # of the images: so much may an epoch leave out without a word on it


def decoded_memory(checked: CheckedStudy) -> int:
    """Return what the decoded training and validation images take, bytes."""
    recipe, n_train = checked.spec.recipe, len(checked.catalog.train)
    train, val = checked.looks[:n_train], checked.looks[n_train:][: len(checked.catalog.val)]
    size, eval_size = recipe.image_size, recipe.for_evaluation().image_size
    found = decoded_bytes(train, size, recipe.eval_crop, recipe.resize)
    found += decoded_bytes(val, eval_size, recipe.eval_crop, recipe.resize)
    if eval_size != size and (recipe.batch_norm == "recalibrated" or checked.catalog.folds):
        found += decoded_bytes(train, eval_size, recipe.eval_crop, recipe.resize)
    if eval_size != size and checked.catalog.folds:  # each image is trained on and validated
        found += decoded_bytes(val, size, recipe.eval_crop, recipe.resize)
    return found


def steps_text(checked: CheckedStudy) -> str:
    """Return how many steps an epoch has, and what of the images it leaves out."""
    n_train = len(checked.catalog.train)
    steps = steps_of(checked.spec.recipe, n_train)
    text = f"{steps.n} an epoch, of {steps.images} images"
    if steps.left_out:
        text += f"; {steps.left_out} of {n_train} training images left out, others each epoch"
    return text


def notes(checked: CheckedStudy) -> list[str]:
    """Return a sentence for each finding."""
    recipe, n_train = checked.spec.recipe, len(checked.catalog.train)
    steps = steps_of(recipe, n_train)
    found = [narrow_range(checked.looks), few_values(recipe, checked.backbone, n_train)]
    if steps.left_out > _LARGE_SHARE * n_train:
        found.append(
            f"each epoch leaves out {steps.left_out} of {n_train} training images, because a batch "
            "that is not full is dropped; a smaller recipe.batch_size leaves out fewer"
        )
    found += [*_twice(checked.copies), *_spellings(checked), *_weights(checked)]
    found += _not_validated(checked)
    memory, free = decoded_memory(checked), free_bytes()
    if free is not None and memory > free:
        found.append(
            f"this machine can have {as_text(free)}, too little for the decoded images; run "
            "workers where there is more, or lower recipe.image_size or data.train_per_class"
        )
    return [each for each in found if each is not None]


def _not_validated(checked: CheckedStudy) -> Iterator[str]:
    """Say which classes have no validation or test image, where images have several labels."""
    catalog = checked.catalog
    for split, refs in (("validation", catalog.val), ("test", catalog.test)):
        present = {label for ref in refs for label in ref.classes}
        left = [repr(n) for k, n in enumerate(catalog.class_names) if k not in present]
        if catalog.multi_label and refs and left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            yield (
                f"no {split} image has the label {', '.join(left[:_SHOWN])}{more}, so it counts "
                f"in no mean over classes of {split} images; add images of it"
            )


def _twice(copies: Sequence[Copy]) -> Iterator[str]:
    """Say what is there twice: a leak first, then within a split, then under two labels."""
    if leaks := [copy for copy in copies if copy.leaks]:
        yield (
            f"a leak: {_alike(leaks, 'of another split')}; the accuracy on them says too much; "
            f"{_LEAVE_OUT}"
        )
    if within := [copy for copy in copies if not copy.leaks and copy.same_class]:
        yield f"{_alike(within, 'of their split')}; {_LEAVE_OUT}"
    if doubtful := [copy for copy in copies if copy.same and not copy.same_class]:
        yield (
            f"{_counted(doubtful)} the content of one of another class ({_pairs(doubtful)}); "
            "correct the labels"
        )


def _weights(checked: CheckedStudy) -> Iterator[str]:
    weights = [ref.weight for ref in checked.catalog.train]
    if len(set(weights)) > 1:
        mean = sum(weights) / len(weights)
        yield (
            f"in the loss, training images count {min(weights) / mean:.3g} to "
            f"{max(weights) / mean:.3g} times their mean ({checked.spec.data.columns.weight}); "
            "measures, fixed features and validation count all alike"
        )


def _alike(copies: Sequence[Copy], where: str) -> str:
    same = [copy for copy in copies if copy.same]
    near = [copy for copy in copies if not copy.same]
    parts = []
    if same:
        parts.append(f"{_counted(same)} the content of one {where} ({_pairs(same)})")
    if near:
        looks = "looks" if len(near) == 1 else "look"
        parts.append(f"{_counted(near, looks)} like one {where} ({_pairs(near)})")
    return ", ".join(parts)


def _counted(copies: Sequence[Copy], verb: str = "") -> str:
    n = len(copies)
    return f"1 image {verb or 'has'}" if n == 1 else f"{n} images {verb or 'have'}"


def _pairs(copies: Sequence[Copy]) -> str:
    more = [f"and {len(copies) - _SHOWN} more"] if len(copies) > _SHOWN else []
    return on_one_line(", ".join([*(copy.text for copy in copies[:_SHOWN]), *more]))


def _spellings(checked: CheckedStudy) -> Iterator[str]:
    for names in spelled_alike(checked.catalog.class_names):
        yield (
            f"the classes {', '.join(map(repr, names))} differ in case, spaces, hyphens or Unicode "
            "form alone; if they are one class, give them one name"
        )
