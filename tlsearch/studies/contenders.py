"""What of a study is tested: finalists with the models that were trained of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.storages import RDBStorage
from torch import Tensor

from tlsearch.artifacts import Artifacts
from tlsearch.errors import CheckpointError, StudyError
from tlsearch.finetune import load_weights
from tlsearch.records import Hyperparameters
from tlsearch.records.finals import MEAN, Finalist, Finals, SeedRun
from tlsearch.store.models import model_files
from tlsearch.store.stored_study import StoredStudy


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model of one seed.

    Attributes:
        trial: its number in its study.
        seed: of its training.
        file: its name among the artifacts.
    """

    trial: int
    seed: int
    file: str


@dataclass(frozen=True, slots=True)
class Contender:
    """A finalist with its models.

    Attributes:
        name: as in `Finals`.
        params: the hyperparameters; None for fixed features.
        study: the name of the study that trained the models.
        models: by seed.
    """

    name: str
    params: Hyperparameters | None
    study: str
    models: tuple[TrainedModel, ...]


def tested_finalists(finals: Finals) -> list[Finalist]:
    """Return the finalists to be tested: the recommended one, the winner, and the baselines.

    Their mean has no models of its own: those of fixed features and of the winner are its.

    Raises:
        StudyError: the finalists are not complete.
    """
    if not finals.complete or finals.recommended is None:
        done, planned = (sum(n) for n in zip(*map(_runs, finals.finalists), strict=True))
        raise StudyError(
            f"the finalists of study {finals.study!r} are not complete ({done} of {planned} runs); "
            f"run tlsearch finalists {finals.study} first"
        )
    names = [finals.recommended if finals.recommended != MEAN else None, finals.winner]
    names += [each.name for each in finals.finalists if each.kind in ("default", "fixed_features")]
    found = [finals.finalist(name) for name in dict.fromkeys(names) if name is not None]
    return [each for each in found if each.runs]


def contenders_of(
    database: RDBStorage,
    trained: StoredStudy,
    runs: Mapping[str, tuple[SeedRun, ...]],
    finalists: list[Finalist],
) -> list[Contender]:
    """Return finalists with the names of their model files.

    Args:
        database: Optuna's storage.
        trained: the study that trained the models.
        runs: the complete runs there, by finalist.
        finalists: those to be tested.

    Raises:
        StudyError: a model was not kept.
    """
    files = model_files(database.engine, trained.study_id)
    return [
        Contender(
            each.name,
            each.params,
            trained.name,
            tuple(
                TrainedModel(run.trial, run.seed, _file(files, run.trial, trained.name))
                for run in runs[each.name]
            ),
        )
        for each in finalists
    ]


def check_files(artifacts: Artifacts, place: str, contenders: list[Contender]) -> None:
    """Check that all model files are there, before any is tried.

    Raises:
        StudyError: one is gone.
        StorageError: the place cannot be read.
    """
    there = set(artifacts.names())
    for contender in contenders:
        for model in contender.models:
            if model.file not in there:
                raise StudyError(_gone(contender, model, place))


def load_states(artifacts: Artifacts, place: str, contender: Contender) -> list[dict[str, Tensor]]:
    """Return the weights of a contender's models, on the CPU.

    Raises:
        StudyError: a file is gone or damaged.
        StorageError: the place cannot be read.
    """
    return [_state(artifacts, place, contender, model) for model in contender.models]


def _state(
    artifacts: Artifacts, place: str, contender: Contender, model: TrainedModel
) -> dict[str, Tensor]:
    data = artifacts.read(model.file)
    if data is None:
        raise StudyError(_gone(contender, model, place))
    try:
        return load_weights(data)
    except CheckpointError as error:
        raise StudyError(bad_model(contender, model, place, str(error))) from error


def bad_model(contender: Contender, model: TrainedModel, place: str, why: str) -> str:
    """Say that a model file cannot be used."""
    return (
        f"the model of {_what(contender, model)} cannot be used ({why}); restore "
        f"{model.file} in {place}; nothing was recorded"
    )


def _gone(contender: Contender, model: TrainedModel, place: str) -> str:
    return (
        f"the model of {_what(contender, model)} is gone: there is no {model.file} in {place}; "
        "restore it, or name the place where models lie with --artifacts; nothing was recorded"
    )


def _what(contender: Contender, model: TrainedModel) -> str:
    return f"{contender.name}, seed {model.seed} (trial {model.trial} of {contender.study!r})"


def _file(files: Mapping[int, str], trial: int, study: str) -> str:
    if trial not in files:
        raise StudyError(
            f"the model of trial {trial} of study {study!r} was not kept, so it cannot be tested"
        )
    return files[trial]


def _runs(finalist: Finalist) -> tuple[int, int]:
    return len(finalist.runs), finalist.planned
