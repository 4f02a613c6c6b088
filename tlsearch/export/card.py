"""`README.md` of an exported folder: a model card in the hub's shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlsearch.export.card_sections import plain_timm_section
from tlsearch.export.check import Checked
from tlsearch.export.origin import Origin
from tlsearch.export.plain_timm import SeenOtherwise
from tlsearch.export.source import Choice, Source
from tlsearch.predict.exported import ONNX, Exported
from tlsearch.records import TrialRecord
from tlsearch.records.format import percent
from tlsearch.records.objective import ACCURACY, THRESHOLD, shown, shown_width, words
from tlsearch.records.precision import standard_error
from tlsearch.store.stored_study import StoredStudy

_KINDS = {
    "fixed_features": "the pretrained network as it is, with a linear classifier on its features",
    "trial": "one fine-tuned network",
    "mean": "two networks: the pretrained one with a linear classifier on its features, and a "
    "fine-tuned one; the answer is the geometric mean of their probabilities",
}


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells.

    Attributes:
        study: the search.
        choice: what was exported, and why.
        exported: what the folder holds.
        checked: what the exported files did on the validation images; None = not measured here.
        origin: of the pretrained weights.
        timm: the images that plain timm sees otherwise; None = not counted here.
        more: sections to put behind the figures: heading and text (test figures, say).
    """

    study: StoredStudy
    choice: Choice
    exported: Exported
    checked: Checked | None
    origin: Origin
    timm: SeenOtherwise | None
    more: Mapping[str, str]


def model_card(facts: CardFacts) -> str:
    """Return the card's text."""
    name = facts.study.name
    sections = {
        "Use": _use(facts.exported),
        "Images with timm": plain_timm_section(facts.exported.preprocessing, facts.timm),
        "Data": _data(facts.study),
        "Training": _training(facts),
        "Figures": _figures(facts),
        **facts.more,
        "Limits": _limits(facts),
        "Licence": facts.origin.words,
        "Provenance": _provenance(facts),
    }
    kind = _KINDS[facts.choice.kind]
    if facts.exported.several_labels:
        kind = kind.replace(
            "the geometric mean of their probabilities", "the mean of their outputs"
        )
        kind += ". An image may have several labels, or none (multi-label classification)"
    title = f"# Model of study {_plain(name)}\n\nAn image classifier: {kind}."
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    return f"---\n{_front_matter(facts)}---\n\n{title}\n\n{body}\n"


def _front_matter(facts: CardFacts) -> str:
    origin = facts.origin
    lines = ["library_name: timm", "pipeline_tag: image-classification"]
    lines += ["tags:", "- image-classification", "- timm", "- tlsearch"]
    several = facts.exported.several_labels
    lines += ["- multi-label"] if several else []
    lines.append(f"license: {json.dumps(origin.hub_licence or 'other')}")
    if not origin.hub_licence:
        lines.append(f"license_name: {json.dumps(origin.licence or 'fill-in-before-sharing')}")
    if origin.base_model:
        lines.append(f"base_model: {json.dumps(origin.base_model)}")
    lines += ["metrics:", "- mean_average_precision" if several else "- accuracy"]
    return "\n".join(lines) + "\n"


def _use(exported: Exported) -> str:
    folders = [member.folder for member in exported.members]
    timm = f'timm.create_model("local-dir:{"DIR" if folders == ["."] else "DIR/1"}"'
    text = "With tlsearch, which prepares images as the validation did:\n\n"
    text += "    tlsearch predict DIR photo.jpg\n\n"
    text += f"With timm alone: `{timm}, pretrained=True)`; `config.json` has crop, mean, std and "
    text += "the names of the classes."
    if len(folders) > 1:
        text += " `DIR/2` is the other network; `tlsearch.json` says how the two are joined."
    if exported.several_labels:
        text += (
            f"\n\nThe outputs are one for each class: their sigmoid is the probability that the "
            f"image has the label, whatever the others are. It is said to have those of at least "
            f"{THRESHOLD:g}; `tlsearch predict --threshold` takes another."
        )
    if ONNX in exported.files:
        side = exported.preprocessing.image_size
        text += f"\n\n`{ONNX}` takes `images`, float32 (batch, 3, {side}, {side}), normalised, and "
        text += "gives `probabilities`."
    return text


def _data(study: StoredStudy) -> str:
    data, spec = study.data, study.spec.data
    names = ", ".join(map(_plain, data.class_names[:50]))
    more = len(data.class_names) - 50
    table = (
        f"| training | validation | test |\n|---|---|---|\n"
        f"| {data.n_train} | {data.n_val} | {data.n_test} |\n\n"
    )
    if spec.folds:
        table = (
            f"| training and validation | test |\n|---|---|\n| {data.n_val} | {data.n_test} |\n\n"
            f"Validation is by {spec.folds} folds: each image is predicted by a network that was "
            "trained on the other folds. This model was trained on all of them.\n\n"
        )
    return (
        f"{len(data.class_names)} classes: {names}{f' and {more} more' if more > 0 else ''}.\n\n"
        f"{table}"
        f"Images from `{_code(spec.path)}`, split with seed {spec.split_seed}; fingerprint "
        f"`{data.fingerprint}`."
    )


def _training(facts: CardFacts) -> str:
    backbone, recipe = facts.study.spec.backbone, facts.choice.sources[0].study.spec.recipe
    parts = [f"Network `{_code(backbone.model)}`, pretrained weights `{_code(backbone.weights)}`."]
    parts += [_source_text(source) for source in facts.choice.sources]
    values = recipe.model_dump(mode="json")
    rows = "\n".join(f"| `{key}` | {json.dumps(value)} |" for key, value in values.items())
    parts.append(f"The recipe:\n\n| key | value |\n|---|---|\n{rows}")
    return "\n\n".join(parts)


def _source_text(source: Source) -> str:
    trial = source.trial
    what = f"Trial {trial.number} of study {_plain(source.study.name)}"
    if source.is_floor or trial.params is None:
        return f"{what}: fixed features with a linear classifier; nothing else was trained."
    rows = "\n".join(f"| `{k}` | {v:.6g} |" for k, v in trial.params.as_dict().items())
    return f"{what}, {trial.epochs} epochs:\n\n| hyperparameter | value |\n|---|---|\n{rows}"


def _figures(facts: CardFacts) -> str:
    n_val = facts.study.data.n_val
    rows = [_row(f"trial {s.trial.number}", s.trial.val_accuracy, n_val) for s in _members(facts)]
    rows.append(_row("this model, as the study reports it", facts.choice.val_accuracy, n_val))
    if facts.checked is not None:
        rows.append(_row("this model, by the exported files", facts.checked.accuracy, n_val))
    expected = [
        f"Of new images {_plain(s.study.name)} expects {_expected(s.trial)} of trial "
        f"{s.trial.number}."
        for s in facts.choice.sources
        if s.trial.expected_score is not None
    ]
    of = (
        "validation images all of whose labels are right by"
        if facts.exported.several_labels
        else ""
    )
    table = f"| {of or 'validation accuracy of'} | | standard error | n |\n|---|---|---|---|\n"
    return "\n\n".join([*_objective(facts), table + "\n".join(rows), *expected])


def _objective(facts: CardFacts) -> list[str]:
    choice, checked = facts.choice, facts.checked
    if choice.objective == ACCURACY:
        return []
    reached = shown(choice.objective, choice.score)
    again = ""
    if checked is not None and checked.mean_average_precision is not None:
        again = (
            f" By the exported files the mean over the classes of average precision is "
            f"{percent(checked.mean_average_precision)} there."
        )
    return [
        f"The study chose by {words(choice.objective)} on the validation images: this model has "
        f"{reached}.{again}"
    ]


def _expected(trial: TrialRecord) -> str:
    objective, sd = trial.objective, trial.expected_score_sd
    named = "" if objective == ACCURACY else f"a {words(objective)} of "
    deviation = "-" if sd is None else shown_width(objective, sd)
    return f"{named}{shown(objective, trial.expected_score)} (standard deviation {deviation})"


def _members(facts: CardFacts) -> Sequence[Source]:
    return facts.choice.sources if len(facts.choice.sources) > 1 else ()


def _row(what: str, accuracy: float | None, n_val: int) -> str:
    error = None if accuracy is None else standard_error(accuracy, n_val)
    return f"| {what} | {percent(accuracy)} | {percent(error)} | {n_val} |"


def _limits(facts: CardFacts) -> str:
    chosen_by = words(facts.choice.objective)
    several = facts.exported.several_labels
    gives = "any number of them, or none," if several else "one of them"
    return (
        f"- It is {facts.choice.why}. A model that was chosen by its {chosen_by} on "
        "validation images among many does less well on new images than that figure says.\n"
        f"- It knows the classes above alone, and gives {gives} for any image.\n"
        "- Its probabilities were not calibrated.\n"
        f"- It was tried on images like those of the study, at "
        f"{facts.exported.preprocessing.image_size} pixels."
    )


def _provenance(facts: CardFacts) -> str:
    made = facts.study.provenance
    rows = [f"| spec hash | `{facts.study.spec_hash}` |"]
    rows.append(f"| pretrained weights, SHA-256 | `{facts.study.backbone.weights_sha256}` |")
    rows += [f"| {name} of the study | {version} |" for name, version in made.versions.items()]
    rows += [f"| {name} of the export | {v} |" for name, v in facts.exported.versions.items()]
    return "| | |\n|---|---|\n" + "\n".join(rows)


def _plain(text: str) -> str:
    """Return a name on one line, with nothing that Markdown or HTML would read as a sign."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)


def _code(text: str) -> str:
    """Return a name that may stand between two backticks."""
    return " ".join(text.replace("`", "'").split())
