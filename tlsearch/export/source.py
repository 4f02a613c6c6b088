"""Which trained models are exported, and where their files are."""

from collections.abc import Mapping
from dataclasses import dataclass

from tlsearch.artifacts import artifacts_place, open_artifacts
from tlsearch.backbones.weights_file import StateDict
from tlsearch.errors import CheckpointError, ExportError
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.predict.exported import Kind
from tlsearch.records import FIXED_FEATURES, TrialRecord
from tlsearch.records.finals import MEAN, Finals, SeedRun
from tlsearch.records.objective import ACCURACY, Objective
from tlsearch.store.stored_study import StoredStudy
from tlsearch.studies.read import StudyReader


@dataclass(frozen=True, slots=True)
class Source:
    """A trained model of a study.

    Attributes:
        study: where it was trained.
        trial: its trial there.
        file: the name of its file among the artifacts.
    """

    study: StoredStudy
    trial: TrialRecord
    file: str

    @property
    def is_floor(self) -> bool:
        """Whether it is the linear classifier on fixed features."""
        return self.trial.origin == FIXED_FEATURES


@dataclass(frozen=True, slots=True)
class Choice:
    """What is exported.

    Attributes:
        kind: `mean` = the geometric mean of the sources' probabilities.
        sources: one, or the two of a mean.
        val_accuracy: that the study reports, a fraction; None where it is not known.
        why: how it was chosen, in a few words.
        objective: what it was chosen by.
        score: how good it is by that; of accuracy `val_accuracy`.
    """

    kind: Kind
    sources: tuple[Source, ...]
    val_accuracy: float | None
    why: str
    objective: Objective = ACCURACY
    score: float | None = None


def choose(
    reader: StudyReader,
    trial: int | None,
    finals: Finals | None = None,
    finalists: StudyReader | None = None,
) -> Choice:
    """Choose a trial, else the recommended finalist, else the recommended answer of the search.

    Args:
        reader: of the search.
        trial: a trial of it.
        finals: its finalists; None = they are not asked.
        finalists: of the study whose trials are the finalists' runs.

    Raises:
        ExportError: there is no such trial, no complete one, or its model is not kept.
    """
    if trial is not None:
        return one_trial(reader, trial, "the trial that was asked for")
    if finals is not None and finalists is not None:
        found = recommended_finalist(finals, finalists)
        if found is not None:
            return found
    return recommended(reader)


def recommended(reader: StudyReader) -> Choice:
    """Choose the recommended answer of a search; see `tlsearch.studies.read.recommended_answer`."""
    answer = reader.answer()
    if answer is None:
        raise ExportError(f"study {reader.study.name!r} has no complete trial yet; run a worker")
    sources = _sources(reader, answer.trials)
    why = "the study's recommended answer"
    accuracy, score = answer.val_accuracy, answer.score
    return Choice(answer.kind, sources, accuracy, why, answer.objective, score)


def recommended_finalist(finals: Finals, reader: StudyReader) -> Choice | None:
    """Choose the run of the recommended finalist that was the best on the validation images.

    Args:
        finals: of the search.
        reader: of the study whose trials its runs are.

    Returns:
        None until a finalist is recommended.

    Raises:
        ExportError: the run's model is not kept.
    """
    if finals.recommended is None:
        return None
    runs = finals.finalist(finals.recommended).runs
    best = max(runs, key=lambda run: (run.score, -run.seed))
    if finals.recommended == MEAN:
        return _mean(finals, reader, best)
    why = f"the best of {len(runs)} seeds of the recommended finalist, {finals.recommended}"
    return one_trial(reader, best.trial, why)


def _mean(finals: Finals, reader: StudyReader, best: SeedRun) -> Choice:
    """Choose fixed features and a run of the winner, together."""
    floor = next(each for each in finals.finalists if each.kind == "fixed_features")
    sources = _sources(reader, (floor.runs[0].trial, best.trial))
    why = (
        f"the mean of fixed features and the best of {finals.finalist(MEAN).planned} seeds of "
        f"{finals.winner}, which the finalists recommend"
    )
    return Choice("mean", sources, best.val_accuracy, why, finals.objective, best.score)


def one_trial(reader: StudyReader, number: int, why: str) -> Choice:
    """Choose a trial of a study."""
    sources = _sources(reader, (number,))
    kind: Kind = "fixed_features" if sources[0].is_floor else "trial"
    trial = sources[0].trial
    return Choice(kind, sources, trial.val_accuracy, why, trial.objective, trial.score)


def read_state(source: Source, artifacts: str | None) -> StateDict:
    """Read the tensors of a model.

    Args:
        source: the model.
        artifacts: where files of trials lie; None = the environment's, the study's, or the
            default.

    Raises:
        ExportError: its file is not there, or damaged.
        StorageError: the place cannot be read.
    """
    place = artifacts_place(artifacts, source.study.spec.checkpoints.folder)
    data = open_artifacts(place, writable=False).read(source.file)
    what = f"the model of trial {source.trial.number} of study {source.study.name!r}"
    if data is None:
        raise ExportError(
            f"{what} ({source.file}) does not lie in {place or 'the default folder'}; say where "
            "files of trials are with --artifacts"
        )
    try:
        return load_weights(data)
    except CheckpointError as error:
        raise ExportError(f"{what} ({source.file}) cannot be used: {error}") from error


def _sources(reader: StudyReader, numbers: tuple[int, ...]) -> tuple[Source, ...]:
    trials = {trial.number: trial for trial in reader.best()}
    files = reader.files()
    return tuple(_source(reader.study, trials, files, number) for number in numbers)


def _source(
    study: StoredStudy, trials: Mapping[int, TrialRecord], files: Mapping[int, str], number: int
) -> Source:
    if number not in trials:
        raise ExportError(
            f"study {study.name!r} has no complete trial {number}; {_with_models(files)}"
        )
    trial, trained = trials[number], number
    while trained not in files and (of := trials[trained].duplicate_of) in trials:
        trained = of  # type: ignore[assignment]
    if trained not in files:
        raise ExportError(
            f"the model of trial {number} of study {study.name!r} is not kept: only those of the "
            f"best {study.spec.checkpoints.keep_best} are (checkpoints.keep_best); "
            f"{_with_models(files)}"
        )
    return Source(study, trial, files[trained])


def _with_models(files: Mapping[int, str]) -> str:
    if not files:
        return "it has no trial with a model"
    return f"trials with a model: {', '.join(map(str, sorted(files)))}"
