"""Evaluation at another size than that of training: what is decoded, evaluated and recalibrated."""

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import (
    CPU,
    KNOBS,
    PLAIN_NETWORK,
    RECIPE,
    STEPS,
    Run,
    assert_same_bits,
    assert_same_training,
    interrupted,
)
from tlsearch.data import (
    evaluation_batches,
    load_catalog,
    load_for_recipe,
    load_training_data,
)
from tlsearch.errors import SpecError
from tlsearch.finetune import FineTuneData, check_recipe, initial_model
from tlsearch.finetune.batch_norm import batch_norms, clean_sample, recalibrate
from tlsearch.finetune.evaluate import evaluate
from tlsearch.spec import DataSpec, RecipeSpec

SMALL = RECIPE.model_copy(update={"batch_norm": "recalibrated", "eval_crop": 0.8})
LARGER = SMALL.model_copy(update={"eval_size": 48})  # images of 32 pixels are trained on


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(DataSpec(path="builtin:fashion-mnist-30"))


@pytest.fixture(scope="module")
def images(catalog) -> FineTuneData:
    return FineTuneData.on_device(load_for_recipe(catalog, LARGER), CPU)


class TestLoading:
    def test_each_split_has_its_size(self, catalog):
        data = load_for_recipe(catalog, LARGER)
        assert data.clean is not None
        sides = [set(s.sizes.flatten().tolist()) for s in (data.train, data.val, data.clean)]
        assert sides == [{40}, {60}, {60}]  # 32 / 0.8 and 48 / 0.8
        assert data.clean.labels.tolist() == data.train.labels.tolist()

    @pytest.mark.parametrize("recipe", [SMALL, SMALL.model_copy(update={"eval_size": 32})])
    def test_one_size_is_loaded_once(self, catalog, recipe):
        assert load_for_recipe(catalog, recipe).clean is None

    @pytest.mark.parametrize("batch_norm", ["running", "frozen"])
    def test_clean_images_only_where_they_are_needed(self, catalog, batch_norm):
        data = load_for_recipe(catalog, LARGER.model_copy(update={"batch_norm": batch_norm}))
        assert data.clean is None
        assert set(data.val.sizes.flatten().tolist()) == {60}


class TestTraining:
    def test_the_training_is_that_without_it(self, catalog, images):
        """Same losses; the weights differ in their statistics alone."""
        plain = FineTuneData.on_device(load_training_data(catalog, 32, 0.8), CPU)
        without, whole = Run(plain, PLAIN_NETWORK, SMALL), Run(images, PLAIN_NETWORK, LARGER)
        losses = [[e.train_loss for e in run.result.curve] for run in (without, whole)]
        assert losses[0] == losses[1]
        ours, theirs = whole.weights, without.weights
        for name, tensor in theirs.items():
            changed = name.endswith(("running_mean", "running_var"))
            assert torch.equal(ours[name], tensor) is not changed, name
        assert without.result.val_predictions != whole.result.val_predictions

    def test_statistics_and_accuracy_are_those_at_the_larger_size(self, catalog, images):
        """Against the same steps by hand, on images that were decoded for that size alone."""
        run, backbone = Run(images, PLAIN_NETWORK, LARGER), stand_in(PLAIN_NETWORK)
        model = initial_model(backbone, 10, KNOBS.reinit_layers, 0)
        model = model.to(memory_format=torch.channels_last)
        model.load_state_dict(run.weights)
        for layer in batch_norms(model).values():
            layer.reset_running_stats()
        at_48 = SMALL.model_copy(update={"image_size": 48})
        larger = FineTuneData.on_device(load_training_data(catalog, 48, 0.8), CPU)
        statistics = backbone.statistics
        batches = evaluation_batches(
            larger.train, at_48, statistics.mean, statistics.std, clean_sample(300, 0)
        )
        recalibrate(model, (pixels for pixels, _ in batches))
        counters = {n for n in run.weights if n.endswith("num_batches_tracked")}
        assert_same_bits(
            {n: t for n, t in model.state_dict().items() if n not in counters},
            {n: t for n, t in run.weights.items() if n not in counters},
        )
        found = evaluate(model, larger.val, at_48, statistics)
        assert found.accuracy == run.result.val_accuracy
        assert found.predictions == run.result.val_predictions

    @pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
    def test_resumes(self, images, steps):
        data = interrupted(images, PLAIN_NETWORK, steps, LARGER)
        resumed = Run(images, PLAIN_NETWORK, LARGER, resume=data)
        assert_same_training(resumed, Run(images, PLAIN_NETWORK, LARGER))


class TestRefusals:
    def test_a_network_of_one_size(self):
        mixer = stand_in("gmlp_ti16_224", 32)
        recipe = RecipeSpec(image_size=32, eval_size=64)
        with pytest.raises(SpecError, match=r"recipe\.eval_size = 64: gmlp_ti16_224, built"):
            check_recipe(recipe, mixer, 100, 10)
        check_recipe(recipe.model_copy(update={"eval_size": 32}), mixer, 100, 10)
        check_recipe(recipe, stand_in("test_vit", 32), 100, 10)  # it resamples its embeddings
        check_recipe(recipe, stand_in(PLAIN_NETWORK), 100, 10)

    def test_one_image_a_step_without_a_variance(self):
        """At 32 pixels the last layers see one position, at 64 there are four."""
        network = stand_in(PLAIN_NETWORK)
        recipe = RecipeSpec(image_size=32, batch_size=1)
        torch.manual_seed(3)
        before = torch.get_rng_state()
        with pytest.raises(SpecError, match=r"recipe\.batch_size = 1: one image of 32 pixels"):
            check_recipe(recipe, network, 100, 10)
        assert torch.equal(torch.get_rng_state(), before)
        for allowed in ({"image_size": 64}, {"batch_size": 2}, {"batch_norm": "frozen"}):
            check_recipe(recipe.model_copy(update=allowed), network, 100, 10)
        check_recipe(recipe, stand_in("test_convnext"), 100, 10)


def test_the_recipe_of_evaluation():
    assert LARGER.for_evaluation() == SMALL.model_copy(update={"image_size": 48})
    assert SMALL.for_evaluation() is SMALL
