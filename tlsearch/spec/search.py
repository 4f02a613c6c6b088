"""Where and how to search: `[space]`, `[measures]`, `[prior]`, `[sampler]` and `[pruner]`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tlsearch.spec.fields import PositiveInt, RangeField, Table


class SpaceSpec(Table):
    """Where to search: a number fixes a hyperparameter, [low, high] is a range.

    What is left out takes a range from the backbone's layers or the paper's values; see
    `tlsearch.space`.
    """

    reinit_layers: RangeField = None
    high_lr: RangeField = None
    low_lr_ratio: RangeField = None
    low_layers: RangeField = None
    alpha: RangeField = None
    beta: RangeField = None
    l2sp_layers: RangeField = None


class MeasuresSpec(Table):
    """The domain measures: how well the pretrained weights fit the data; see `tlsearch.measures`.

    Attributes:
        when: `worker`: the first worker measures before its first trial; `create`: the command
            that creates the study does; `off`: no measures and no prior.
        random_init_share: share of the study's epochs (trials x epochs) for training from random
            weights; never fewer than one trial's epochs.
        random_init_lr: peak learning rate of that training; its default is 0.001 for AdamW.
        source: folder of images of the source domain, one folder a class, for the earth mover's
            distance; None = the weights of the pretrained classifier are used instead.
        sizes: other image sizes, pixels, at which fixed features are measured as well.
    """

    when: Literal["worker", "create", "off"] = "worker"
    random_init_share: float = Field(0.05, gt=0, le=1)
    random_init_lr: float = Field(0.03, gt=0, le=10)
    source: str | None = Field(None, min_length=1)
    sizes: list[Annotated[int, Field(ge=16, le=1024)]] = Field([])

    @model_validator(mode="after")
    def _sizes_are_measured(self) -> "MeasuresSpec":
        if self.sizes and self.when == "off":
            raise ValueError(
                'sizes are measured, which when = "off" forbids; leave one of them out'
            )
        return self


class KnobsSpec(Table):
    """Numbers for some of the seven hyperparameters; None = not given."""

    reinit_layers: float | None = None
    high_lr: float | None = None
    low_lr_ratio: float | None = None
    low_layers: float | None = None
    alpha: float | None = None
    beta: float | None = None
    l2sp_layers: float | None = None

    def given(self) -> dict[str, float]:
        """Return those that have a number."""
        return self.model_dump(exclude_none=True)


class PriorSpec(Table):
    """Whether the prior from the measures is used, and the user's changes to it.

    See `tlsearch.prior.rule`.

    Attributes:
        use: False = search without a prior; the measures are still taken and shown.
        draws: number of trials that are drawn from the prior and queued, beside its mode.
        emd_weight: weight of the earth mover's distance, in [0, 1]; the paper finds it a poor
            predictor.
        lr_scale: the highest useful learning rate; the prior's rates are relative to it. None =
            measured.
        mode: values that replace the prior's modes, in the hyperparameter's own units.
        spread: values that replace its standard deviations: layers, or decades for rates and
            strengths.
    """

    use: bool = True
    draws: int = Field(2, ge=0, le=100)
    emd_weight: float = Field(0.0, ge=0, le=1)
    lr_scale: float | None = Field(None, gt=0)
    mode: KnobsSpec = KnobsSpec()
    spread: KnobsSpec = KnobsSpec()

    @model_validator(mode="after")
    def _spreads_above_zero(self) -> "PriorSpec":
        for name, spread in self.spread.given().items():
            if spread <= 0:
                raise ValueError(
                    f"spread.{name} = {spread:g} must be above 0; to fix a hyperparameter, give "
                    "its value in [space]"
                )
        return self


class SamplerSpec(Table):
    """How hyperparameters are chosen; read by `tlsearch.sampler`.

    Attributes:
        name: `earned_prior`, `tpe` (multivariate), `random`, or the name of a class in
            `optuna.samplers`.
        startup_trials: finished trials before TPE is used.
        uniform_share: of `earned_prior`: share of trials drawn uniformly from the whole space.
        seed: of every draw; trial n of a study draws the same values in any worker.
        options: arguments for a class of `optuna.samplers`.
    """

    name: str = Field("earned_prior", pattern="^(earned_prior|tpe|random|[A-Z][A-Za-z]*Sampler)$")
    startup_trials: int = Field(5, ge=0)
    uniform_share: float = Field(0.05, ge=0, le=1)
    seed: int = Field(0, ge=0, lt=2**31)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_optuna_classes_take_options(self) -> "SamplerSpec":
        if self.options and not self.name.endswith("Sampler"):
            raise ValueError(
                f"options are for a class of optuna.samplers; {self.name!r} takes startup_trials, "
                "uniform_share and seed"
            )
        return self


class PrunerSpec(Table):
    """When a trial is stopped early; read by `tlsearch.sampler`.

    Attributes:
        name: `percentile`, `median` (the same with 50), `successive_halving`, `hyperband`,
            `patient`, `wilcoxon` or `none`.
        percentile: a trial must reach this percentile of the accuracies at the same epoch.
        startup_trials: complete trials before any is pruned (`percentile`, `median`).
        warmup_fraction: share of the epochs in which no trial is pruned; at least 0.2, because
            trials with high rates start low and overtake others later.
        reduction_factor: of `successive_halving` and `hyperband`: one trial in this many
            continues.
        patience_epochs: of `patient`: epochs without a new best before it prunes a trial.
        p_threshold: of `wilcoxon`: p-value below which a trial is worse than the best one.
    """

    name: Literal[
        "percentile",
        "median",
        "successive_halving",
        "hyperband",
        "patient",
        "wilcoxon",
        "none",
    ] = "percentile"
    percentile: float = Field(25.0, gt=0, lt=100)
    startup_trials: int = Field(4, ge=0)
    warmup_fraction: float = Field(0.7, ge=0.2, le=1)
    reduction_factor: int = Field(3, ge=2)
    patience_epochs: PositiveInt = 5
    p_threshold: float = Field(0.1, gt=0, lt=1)
