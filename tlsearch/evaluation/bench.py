"""Where models are tried on the test images, one after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tlsearch.backbones import Backbone
from tlsearch.data import CENTRE, DeviceImages, View, ten_crop
from tlsearch.errors import CheckpointError
from tlsearch.evaluation.predict import CropPredictions, predict
from tlsearch.evaluation.soups import Soup, greedy_soup, recalibrated, uniform_soup
from tlsearch.evaluation.ways import Predicted, Way
from tlsearch.finetune import initial_model
from tlsearch.finetune.guards import memory_errors
from tlsearch.finetune.start import starting_recipe
from tlsearch.measures import average_precision_of_each, right_of
from tlsearch.records import Hyperparameters
from tlsearch.records.tested import Prediction
from tlsearch.spec import RecipeSpec

State = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Bench:
    """A network into which trained weights are put, and images to try them on.

    Attributes:
        backbone: pretrained network.
        model: of its structure, on the device.
        recipe: of the study.
        test: the test images, on the device.
        val: the validation images; None where they were trained on.
        clean: training images at the size of evaluation, for batch norm of averages.
    """

    backbone: Backbone
    model: nn.Module
    recipe: RecipeSpec
    test: DeviceImages
    val: DeviceImages | None
    clean: DeviceImages

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        recipe: RecipeSpec,
        n_classes: int,
        test: DeviceImages,
        val: DeviceImages | None,
        clean: DeviceImages,
    ) -> "Bench":
        """Build the network on the device of the test images."""
        model = initial_model(backbone, n_classes, 1, recipe.seed)
        model = model.to(test.device).to(memory_format=torch.channels_last)
        return cls(backbone, model, recipe, test, val, clean)

    def predicted(self, state: Mapping[str, Tensor]) -> Predicted:
        """Return what a model predicts, from one crop and from ten.

        Raises:
            CheckpointError: the weights are not of this network.
            TrialFailure: `out_of_memory` if the device is full.
        """
        self._load(state)
        val = None if self.val is None else self._predict(self.val, self._views(self.val))
        return Predicted(self._predict(self.test, self._views(self.test)), val)

    def soups(
        self,
        states: Sequence[State],
        models: Sequence[Predicted],
        params: Hyperparameters,
    ) -> Iterator[Way]:
        """Yield the uniform soup of several models, and the greedy one.

        The greedy one needs validation images that were not trained on.

        Args:
            states: weights of each.
            models: what each predicts.
            params: what they were trained with.
        """
        recipe = starting_recipe(self.recipe, self.backbone, params)
        yield self._soup("uniform soup", uniform_soup(states), recipe)
        vals = [model.val for model in models if model.val is not None]
        if self.val is None or len(vals) < len(models):
            return
        scores = [self._val_score(val) for val in vals]

        def score_of(state: State) -> float:
            self._load(state)
            recalibrated(self.model, self.clean, recipe, self.backbone.statistics)
            assert self.val is not None
            return self._val_score(self._predict(self.val))

        yield self._soup("greedy soup", greedy_soup(states, scores, score_of), recipe)

    def _soup(self, name: Prediction, soup: Soup, recipe: RecipeSpec) -> Way:
        self._load(soup.state)
        if len(soup.members) > 1:
            recalibrated(self.model, self.clean, recipe, self.backbone.statistics)
        found = self._predict(self.test)
        val = [] if self.val is None else [self._predict(self.val).single]
        return Way(name, [found.single], val, 1, found.seconds_single)

    def _predict(self, images: DeviceImages, views: Sequence[View] = (CENTRE,)) -> CropPredictions:
        with memory_errors(self.recipe, self.test.device):
            return predict(self.model, images, self.recipe, self.backbone.statistics, views)

    def _views(self, images: DeviceImages) -> tuple[View, ...]:
        size = self.recipe.for_evaluation().image_size
        return ten_crop(images.sizes, size, mirror=self.recipe.horizontal_flip)

    def _val_score(self, predictions: CropPredictions) -> float:
        """Return the accuracy; of several labels an image mean average precision."""
        assert self.val is not None
        labels = self.val.labels.cpu().numpy()
        if labels.ndim == 2:
            return float(np.nanmean(average_precision_of_each(predictions.single, labels)))
        return float(right_of(predictions.single, labels).mean())

    def _load(self, state: Mapping[str, Tensor]) -> None:
        try:
            self.model.load_state_dict(dict(state), strict=True)
        except (RuntimeError, KeyError) as error:
            first = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"its weights do not fit the network: {first}") from error
