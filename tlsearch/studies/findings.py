"""What the check of a study finds that is no error but should be known."""

from tlsearch.data import as_text, decoded_bytes, free_bytes, narrow_range
from tlsearch.finetune import few_values, steps_of
from tlsearch.studies.create import CheckedStudy

_LARGE_SHARE = 0.1  # of the images: so much may an epoch leave out without a word on it


def decoded_memory(checked: CheckedStudy) -> int:
    """Return what the decoded training and validation images take, bytes."""
    recipe, n_train = checked.spec.recipe, len(checked.catalog.train)
    train, val = checked.looks[:n_train], checked.looks[n_train:][: len(checked.catalog.val)]
    size, eval_size = recipe.image_size, recipe.for_evaluation().image_size
    found = decoded_bytes(train, size, recipe.eval_crop)
    found += decoded_bytes(val, eval_size, recipe.eval_crop)
    if eval_size != size and recipe.batch_norm == "recalibrated":
        found += decoded_bytes(train, eval_size, recipe.eval_crop)
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
    memory, free = decoded_memory(checked), free_bytes()
    if free is not None and memory > free:
        found.append(
            f"this machine can have {as_text(free)}, too little for the decoded images; run "
            "workers where there is more, or lower recipe.image_size or data.train_per_class"
        )
    return [each for each in found if each is not None]
