"""Pictures that workers drew of the best trials: predictions, confused classes, curves."""

from tlsearch.report.page.facts import Facts
from tlsearch.report.page.section import Picture, Section

TITLES = {
    "predictions.png": "sample images with predictions",
    "confusion_matrix.png": "which classes are confused",
    "average_precision.png": "average precision of each class",
    "learning_curve.png": "learning curve among the others'",
}


def section(facts: Facts) -> Section:
    """Return the pictures of the best trials."""
    title = "Sample images and confused classes"
    if facts.study.spec.data.multi_label:
        title = "Sample images and the precision of each class"
    if not facts.files:
        missing = (
            "No picture of a trial is at hand: workers draw them of the best trials, and keep them "
            "where checkpoints lie. Give that place by TLSEARCH_ARTIFACTS if it is not the usual "
            "one of this machine."
        )
        return Section("images", title, (missing,))
    pictures = tuple(
        Picture(
            f"trial-{file.trial}-{file.name.removesuffix('.png')}",
            f"Trial {file.trial}: {TITLES[file.name]}",
            f"Trial {file.trial}, {TITLES[file.name]}, on the validation images",
            file.data,
        )
        for file in facts.files
    )
    words = ("Drawn by the workers, of validation images, when these trials ended.",)
    return Section("images", title, words, pictures=pictures)
