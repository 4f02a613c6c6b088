"""Fine-tunes one model with one set of hyperparameters."""

from collections.abc import Callable, Sequence

import torch

from tlsearch.backbones import Backbone, LinearHead
from tlsearch.data import kept_memory
from tlsearch.finetune.folded import FoldedTraining
from tlsearch.finetune.guards import memory_errors, reproducible
from tlsearch.finetune.images import FineTuneData
from tlsearch.finetune.parts import in_parts_that_fit
from tlsearch.finetune.training import ShouldStop, Training, never
from tlsearch.records import Decision, EpochReport, FineTuneResult, Hyperparameters
from tlsearch.spec import RecipeSpec

OnEpoch = Callable[[EpochReport], Decision]
OnCheckpoint = Callable[[bytes], None]


def fine_tune(
    backbone: Backbone,
    data: FineTuneData,
    recipe: RecipeSpec,
    hyperparameters: Hyperparameters,
    device: torch.device,
    on_epoch: OnEpoch = lambda _: Decision.CONTINUE,
    *,
    should_stop: ShouldStop = never,
    on_checkpoint: OnCheckpoint | None = None,
    resume: bytes | None = None,
    head: LinearHead | None = None,
    fold_heads: Sequence[LinearHead] = (),
    keep_model: bool = True,
) -> FineTuneResult:
    """Fine-tune, and report the validation accuracy after each epoch.

    Deterministic on a CPU: the same arguments and number of threads give the same curve to the
    last digit, with or without interruptions. On CUDA the forward pass runs in bfloat16; parameters
    and decay terms stay in fp32. A batch that the device cannot take at once is taken in parts
    (`tlsearch.finetune.parts`). Where the images have folds, a network is trained for each, and
    the accuracies are of all images (`tlsearch.finetune.folded`).

    Args:
        backbone: pretrained network.
        data: images on `device`.
        recipe: what all trials of a study share.
        hyperparameters: what is searched.
        device: where to train.
        on_epoch: called after each epoch; may ask to stop.
        should_stop: called after each training step; True interrupts the training there.
        on_checkpoint: called with a checkpoint after each epoch, the last one too, unless
            `on_epoch` asked to stop.
        resume: a checkpoint to resume from. Its epochs are in the result's curve and are not
            reported again; if they are all epochs, the model is only evaluated.
        head: the linear probe; needed, and only used, where `reinit_layers` is 0.
        fold_heads: where the images have folds, the same for each fold, fitted to the others.
        keep_model: whether the checkpoints hold a model to keep; where the images have folds, that
            is a network more.

    Raises:
        BackboneError: the head does not fit the network.
        TrialFailure: `nan` if the loss is not finite, `out_of_memory` if the device is full
            even with the smallest parts of a batch.
        Interrupted: `should_stop` returned True; it carries a checkpoint of that moment.
        CheckpointError: `resume` is damaged or of another training.
        SpecError: the network or the images do not allow the recipe.
    """

    def begin() -> Training | FoldedTraining:
        if data.folds is None:
            return Training.begin(backbone, data, recipe, hyperparameters, device, head)
        return FoldedTraining.begin(
            backbone,
            data,
            recipe,
            hyperparameters,
            device,
            head,
            fold_heads,
            keep_model=keep_model,
        )

    reported = 0  # epochs, by an earlier run that was out of memory after them

    def run() -> FineTuneResult:
        nonlocal reported
        with reproducible(recipe.seed, device), kept_memory(device):
            training = begin()
            if resume is not None:
                training.restore(resume)
            for epoch in range(len(training.curve) + 1, recipe.epochs + 1):
                loss = training.run_epoch(epoch, should_stop)
                report = training.end_epoch(epoch, loss)
                if epoch <= reported:
                    continue
                reported = epoch
                if on_epoch(report) is Decision.STOP and epoch < recipe.epochs:
                    return training.result(stopped=True)
                if on_checkpoint is not None:
                    on_checkpoint(training.checkpoint())
            return training.result(stopped=False)

    with memory_errors(recipe, device):
        return in_parts_that_fit(backbone, recipe, len(data.train), device, run)
