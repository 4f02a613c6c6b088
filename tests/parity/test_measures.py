"""The domain measures against other people's implementations, closed forms and real images."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import timm
import torch
from scipy.optimize import linprog
from scipy.spatial.distance import cdist
from scipy.special import log_softmax
from scipy.stats import wasserstein_distance
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from tlsearch.data import features_folder, load_catalog, load_training_data
from tlsearch.data.imageset import ImageSet, packed
from tlsearch.errors import DataError
from tlsearch.measures.emd import (
    ClassMeans,
    class_means,
    classifier_means,
    earth_movers_distance,
    similarity,
)
from tlsearch.measures.features import Features, features_of
from tlsearch.measures.fisher import fisher_score, normalised_fisher
from tlsearch.measures.fixed_features import fixed_features
from tlsearch.measures.kept_probe import kept_linear_probe
from tlsearch.measures.linear_probe import DEFAULT_STRENGTH, linear_probe
from tlsearch.spec import DataSpec, RecipeSpec

CPU = torch.device("cpu")
RECIPE = RecipeSpec(image_size=64, eval_crop=1.0)


def classes(n, d, n_classes, distance, seed=0) -> Features:
    """Gaussian classes whose centres lie about so many standard deviations apart."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % n_classes)
    centres = generator.normal(size=(n_classes, d)) * distance / np.sqrt(2 * d)
    values = centres[labels] + generator.normal(size=(n, d))
    return Features(values.astype(np.float32), labels)


def sparse_classes() -> Features:
    """As features behind a ReLU are: most of them 0 for most images."""
    found = classes(120, 40, 6, 3.0)
    values = np.maximum(found.values - 1.5, 0)
    assert (values == 0).mean() > 0.8
    return Features(values, found.labels)


def in_another_order(features: Features, seed=1) -> Features:
    order = np.random.default_rng(seed).permutation(len(features.labels))
    return Features(features.values[order], features.labels[order])


def scatters(values, labels):
    """S_w and S_b by their definition."""
    d = values.shape[1]
    mean, s_within, s_between = values.mean(0), np.zeros((d, d)), np.zeros((d, d))
    for label in np.unique(labels):
        own = values[labels == label]
        centred, offset = own - own.mean(0), own.mean(0) - mean
        s_within += centred.T @ centred / len(values)
        s_between += len(own) / len(values) * np.outer(offset, offset)
    return s_within, s_between


class TestFisher:
    @pytest.fixture
    def plenty(self):
        found = classes(900, 12, 5, 2.0)
        kept = (found.labels != 4) | (np.arange(900) % 3 == 0)  # classes of unequal size
        return found.values[kept].astype(np.float64), found.labels[kept]

    def test_without_shrinkage_is_that_of_scikit_learns_discriminant_analysis(self, plenty):
        values, labels = plenty
        lda = LinearDiscriminantAnalysis(solver="eigen").fit(values, labels)
        total = np.cov(values.T, bias=True)
        expected = np.trace(np.linalg.inv(lda.covariance_) @ (total - lda.covariance_)) / 5
        assert normalised_fisher(values, labels, 0.0) == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize("shrinkage", [0.1, 0.7, 1.0])
    def test_with_shrinkage_is_an_explicit_inverse(self, plenty, shrinkage):
        values, labels = plenty
        s_within, s_between = scatters(values, labels)
        sphere = np.trace(s_within) / 12 * np.eye(12)
        shrunk = (1 - shrinkage) * s_within + shrinkage * sphere
        expected = np.trace(np.linalg.inv(shrunk) @ s_between) / 5
        assert normalised_fisher(values, labels, shrinkage) == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 60)])
    def test_shrinkage_is_ledoit_and_wolfs(self, n, d):
        found = classes(n, d, 4, 2.0)
        values = found.values * np.geomspace(0.1, 10, d)
        means = np.stack([values[found.labels == label].mean(0) for label in range(4)])
        covariance, shrinkage = ledoit_wolf(values - means[found.labels], assume_centered=True)
        assert 0 < shrinkage < 1
        _, s_between = scatters(values, found.labels)
        expected = np.trace(np.linalg.inv(covariance) @ s_between) / 4
        assert normalised_fisher(values, found.labels) == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_stays_at_its_floor_however_few_the_images(self, seed):
        scores = [fisher_score(classes(n, 64, 5, 0.0, seed)) for n in (800, 200, 50)]
        raw = [found.score for found in scores]
        assert raw[0] < raw[1] < raw[2]
        assert raw[2] > 5 * raw[0]
        for found in scores:
            assert found.score == pytest.approx(found.floor, abs=4 * found.floor_spread)
            assert found.ratio == pytest.approx(1, abs=0.3)

    def test_classes_that_differ_are_far_above_the_floor(self):
        few, many = (fisher_score(classes(n, 64, 5, 6.0)) for n in (50, 800))
        assert few.ratio > 3
        assert many.ratio > 30
        assert few.score > few.floor + 20 * few.floor_spread

    @pytest.mark.parametrize("features", [classes(60, 20, 4, 2.0), sparse_classes()])
    def test_order_of_the_images_does_not_matter(self, features):
        one, two = fisher_score(features), fisher_score(in_another_order(features))
        assert two.score == pytest.approx(one.score, rel=1e-9)
        assert two.floor == pytest.approx(one.floor, rel=1e-9)
        assert two.floor_spread == pytest.approx(one.floor_spread, rel=1e-9)

    def test_names_of_the_classes_do_not_matter(self):
        found = classes(60, 20, 4, 2.0)
        renamed = np.array([70, 3, 11, 5])[found.labels]
        one, two = fisher_score(found), fisher_score(Features(found.values, renamed))
        assert two.score == pytest.approx(one.score, rel=1e-9)
        assert two.floor == pytest.approx(one.floor, abs=3 * one.floor_spread)

    def test_units_of_the_features_do_not_matter(self):
        found = classes(60, 20, 4, 2.0)
        units = np.geomspace(1e-3, 1e3, 20).astype(np.float32)
        scaled = fisher_score(Features(found.values * units + units, found.labels))
        assert scaled.score == pytest.approx(fisher_score(found).score, rel=1e-3)

    def test_features_that_never_vary_do_not_matter(self):
        found = classes(60, 20, 4, 2.0)
        dead = np.full((60, 3), 0.1, np.float32)
        more = Features(np.hstack([dead, found.values]), found.labels)
        assert fisher_score(more) == fisher_score(found)

    @pytest.mark.parametrize(
        ("features", "sentence"),
        [
            (classes(30, 5, 1, 0.0), "all of one class"),
            (classes(4, 5, 4, 0.0), "4 training images of 4 classes"),
            (Features(np.ones((30, 5), np.float32), np.arange(30) % 2), "same features"),
        ],
    )
    def test_nothing_to_measure(self, features, sentence):
        with pytest.raises(DataError, match=sentence):
            fisher_score(features)


def domain(n, d, seed) -> ClassMeans:
    generator = np.random.default_rng(seed)
    return ClassMeans(generator.normal(size=(n, d)), generator.dirichlet(np.ones(n)))


def transport_cost(source: ClassMeans, target: ClassMeans) -> float:
    """The earth mover's distance as a linear programme over all flows."""
    n, m = len(source.weights), len(target.weights)
    leaving, arriving = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    solved = linprog(
        cdist(source.means, target.means).ravel(),
        A_eq=np.vstack([leaving, arriving]),
        b_eq=np.concatenate([source.weights, target.weights]),
        method="highs",
    )
    assert solved.success, solved.message
    return float(solved.fun)


class TestEarthMoversDistance:
    @pytest.mark.parametrize(("n", "m", "d"), [(2, 7, 3), (12, 5, 1), (30, 20, 40), (1, 9, 4)])
    def test_is_the_optimum_of_the_linear_programme(self, n, m, d):
        for seed in range(3):
            source, target = domain(n, d, seed), domain(m, d, 100 + seed)
            expected = transport_cost(source, target)
            assert earth_movers_distance(source, target) == pytest.approx(expected, abs=1e-9)
            assert earth_movers_distance(target, source) == pytest.approx(expected, abs=1e-9)

    def test_between_two_points_is_euclidean(self):
        one, other = (ClassMeans(np.array([at]), np.ones(1)) for at in ([0.0, 1.0], [3.0, 5.0]))
        assert earth_movers_distance(one, other) == pytest.approx(5, abs=1e-12)

    def test_to_itself_is_zero(self):
        same = domain(20, 30, 0)
        assert earth_movers_distance(same, same) == pytest.approx(0, abs=1e-6)

    def test_of_a_shift_is_its_length(self):
        one = domain(20, 30, 0)
        shifted = ClassMeans(one.means + 2.0, one.weights)
        assert earth_movers_distance(one, shifted) == pytest.approx(2 * np.sqrt(30), abs=1e-9)

    def test_on_a_line_is_wassersteins(self):
        source, target = domain(9, 1, 0), domain(14, 1, 1)
        expected = wasserstein_distance(
            source.means[:, 0], target.means[:, 0], source.weights, target.weights
        )
        assert earth_movers_distance(source, target) == pytest.approx(expected, abs=1e-9)

    def test_similarity_is_that_of_cui(self):
        assert similarity(0.0) == 1
        assert similarity(58.717) == pytest.approx(0.556, abs=5e-4)  # their Aircraft


class TestClassMeans:
    def test_are_a_plain_loop(self):
        values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
        labels = np.repeat([3, 0, 7], [25, 5, 20])
        found = class_means(Features(values, labels))
        for at, label in enumerate([0, 3, 7]):
            own = [values[i].astype(np.float64) for i in range(50) if labels[i] == label]
            np.testing.assert_allclose(found.means[at], sum(own) / len(own), rtol=1e-12)
        np.testing.assert_array_equal(found.weights, [0.1, 0.5, 0.4])

    def test_order_of_the_images_does_not_matter(self):
        features = classes(200, 10, 7, 1.0)
        one, two = class_means(features), class_means(in_another_order(features))
        np.testing.assert_allclose(two.means, one.means, atol=1e-12)
        np.testing.assert_array_equal(two.weights, one.weights)

    def test_classifier_stands_in_at_the_targets_scale(self):
        target = domain(7, 10, 0)
        rows = np.random.default_rng(1).normal(3.0, 50.0, size=(40, 10)).astype(np.float32)
        found = classifier_means(rows, target)
        centre = target.weights @ target.means
        assert found.means.shape == (40, 10)
        np.testing.assert_allclose(found.weights, np.full(40, 1 / 40))
        np.testing.assert_allclose(found.means.mean(0), centre, atol=1e-6)
        np.testing.assert_allclose(
            np.linalg.norm(found.means - centre, axis=1).mean(),
            np.linalg.norm(target.means - centre, axis=1).mean(),
        )
        centred = rows - rows.mean(0, dtype=np.float64)
        pointing = (centred * (found.means - centre)).sum(1)
        lengths = np.linalg.norm(centred, axis=1) * np.linalg.norm(found.means - centre, axis=1)
        np.testing.assert_allclose(pointing / lengths, 1, atol=1e-6)

    def test_classifier_without_any_direction_lies_at_the_centre(self):
        target = domain(7, 10, 0)
        found = classifier_means(np.ones((3, 10), np.float32), target)
        np.testing.assert_allclose(found.means, np.tile(target.weights @ target.means, (3, 1)))

    def test_classifier_of_another_width(self):
        with pytest.raises(DataError, match="9 input features and the images have 10"):
            classifier_means(np.ones((3, 9), np.float32), domain(7, 10, 0))


@pytest.fixture(scope="module")
def split():
    everything = classes(400, 15, 4, 2.0)
    values = everything.values * np.geomspace(0.01, 100, 15).astype(np.float32)
    parts = slice(0, 150), slice(150, None)
    return [Features(values[part], everything.labels[part]) for part in parts]


class TestLinearProbe:
    @staticmethod
    def scikit_learns(train, strength):
        """Fitted to centred features with a mean variance of 1."""
        values = train.values.astype(np.float64)
        centre = values.mean(axis=0)
        scale = np.sqrt(((values - centre) ** 2).mean())
        model = LogisticRegression(C=strength, max_iter=10_000, tol=1e-8)
        model.fit((values - centre) / scale, train.labels)
        return lambda raw: model.predict_log_proba((raw - centre) / scale)

    @pytest.mark.parametrize("d", [15, 400])  # fewer and more features than images
    def test_predicts_as_scikit_learns(self, d):
        train, val = classes(120, d, 4, 3.0), classes(60, d, 4, 3.0, seed=0)
        moved = Features(5 + 0.01 * train.values, train.labels)
        found = linear_probe(moved, 4)
        expected = self.scikit_learns(moved, found.strength)(5 + 0.01 * val.values)
        ours = log_softmax(found.logits(5 + 0.01 * val.values).astype(np.float64), axis=1)
        assert ours == pytest.approx(expected, abs=0.02)

    def test_of_two_classes_too(self):
        train = classes(80, 10, 2, 2.0)
        found = linear_probe(train, 2)
        assert found.weight.shape == (2, 10)
        assert 0.7 < found.accuracy(train) <= 1

    def test_chooses_the_strength_on_the_training_images(self):
        """The noisier the features, the stronger the penalty."""
        clear, noisy = (linear_probe(classes(100, 60, 5, d), 5) for d in (8.0, 0.5))
        assert noisy.strength < clear.strength / 10
        assert clear.cv_loss is not None
        assert noisy.cv_loss is not None
        assert clear.cv_loss < 0.5 < noisy.cv_loss

    def test_features_that_are_all_the_same_do_no_harm(self):
        found = classes(60, 20, 4, 2.0)
        dead = Features(np.hstack([np.ones((60, 3), np.float32), found.values]), found.labels)
        assert linear_probe(dead, 4).accuracy(dead) == linear_probe(found, 4).accuracy(found)

    def test_one_image_a_class(self):
        few = classes(5, 12, 5, 9.0)
        found = linear_probe(few, 5)
        assert (found.strength, found.cv_loss) == (DEFAULT_STRENGTH, None)
        assert found.accuracy(few) == 1

    def test_fewer_images_of_a_class_than_folds(self):
        labels = np.repeat(np.arange(4), [1, 2, 20, 30])
        centres = np.random.default_rng(0).normal(size=(4, 8)) * 5
        values = centres[labels] + np.random.default_rng(1).normal(size=(53, 8))
        few = Features(values.astype(np.float32), labels)
        found = linear_probe(few, 4)
        assert found.cv_loss is not None
        assert found.accuracy(few) > 0.9

    def test_a_class_without_images_is_not_predicted(self):
        train = classes(60, 10, 3, 4.0)
        assert 3 not in linear_probe(train, 4).logits(train.values).argmax(axis=1)

    def test_many_images_hold_out_one_fold(self, monkeypatch):
        train, val = classes(300, 20, 4, 3.0), classes(300, 20, 4, 3.0, seed=0)
        several = linear_probe(train, 4)
        module = import_module("tlsearch.measures.linear_probe")
        monkeypatch.setattr(module, "_MUCH_WORK", 0)
        one = linear_probe(train, 4)
        assert one.cv_loss != several.cv_loss
        assert one.accuracy(val) == pytest.approx(several.accuracy(val), abs=0.03)

    def test_is_the_same_each_time(self):
        one, other = (linear_probe(classes(90, 30, 3, 2.0), 3) for _ in range(2))
        assert np.array_equal(one.weight, other.weight)
        assert np.array_equal(one.bias, other.bias)


class TestKeptProbe:
    @pytest.fixture
    def fitted(self, monkeypatch, tmp_path):
        """Count the fits of an empty cache."""
        module, fits = import_module("tlsearch.measures.kept_probe"), []
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

        def fit(*args):
            fits.append(args)
            return linear_probe(*args)

        monkeypatch.setattr(module, "linear_probe", fit)
        return fits

    def test_is_fitted_once_for_the_same_features(self, fitted):
        train = classes(90, 30, 3, 2.0)
        found = [kept_linear_probe(train, 3) for _ in range(2)]
        assert len(fitted) == 1
        for probe in found:
            assert np.array_equal(probe.weight, linear_probe(train, 3).weight)
            assert np.array_equal(probe.bias, linear_probe(train, 3).bias)
            assert (probe.strength, probe.cv_loss) == (found[0].strength, found[0].cv_loss)
            assert probe.weight.flags.writeable, "torch takes it as it is"
        moved = Features(train.values + np.float32(1e-3), train.labels)
        swapped = Features(train.values, train.labels[::-1].copy())
        for other in ((moved, 3), (swapped, 3), (train, 4), (train, 3, 1)):
            kept_linear_probe(*other)
        assert len(fitted) == 5

    def test_no_second_image_means_no_loss(self, fitted):
        few = classes(3, 10, 3, 4.0)
        assert len(np.unique(few.labels)) == len(few.labels)
        assert [kept_linear_probe(few, 3).cv_loss for _ in range(2)] == [None, None]
        assert len(fitted) == 1

    def test_a_damaged_file_is_fitted_again(self, fitted, tmp_path):
        train = classes(90, 30, 3, 2.0)
        first = kept_linear_probe(train, 3)
        (path,) = tmp_path.rglob("*-probe.safetensors")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        assert np.array_equal(kept_linear_probe(train, 3).weight, first.weight)
        assert len(fitted) == 2


class TestFixedFeatures:
    def test_is_the_accuracy_on_validation(self, split):
        train, val = split
        found = fixed_features(train, val)
        predicted = (val.values @ found.probe.weight.T + found.probe.bias).argmax(axis=1)
        assert found.val_accuracy == np.mean(predicted == val.labels)
        assert 0.5 < found.val_accuracy < 0.95

    def test_order_of_the_images_matters_little(self, split):
        shuffled = [in_another_order(part) for part in split]
        one, other = fixed_features(*shuffled), fixed_features(*split)
        assert one.val_accuracy == pytest.approx(other.val_accuracy, abs=0.05)

    def test_one_class(self):
        one = classes(30, 5, 1, 0.0)
        with pytest.raises(DataError, match="all of one class"):
            fixed_features(one, one)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """32 of the shipped images, of all classes."""
    everything = load_training_data(load_catalog(DataSpec(path="builtin:fashion-mnist-30")), 64, 1)
    some = slice(0, 288, 9)
    found = everything.train
    return chosen(found, range(288)[some])


def chosen(images: ImageSet, indices) -> ImageSet:
    return packed([images.image(k) for k in indices], images.labels[list(indices)].tolist())


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def cached():
    return sorted(features_folder().glob("*"))


def extract(backbone, images, recipe=RECIPE, fingerprint="shipped") -> np.ndarray:
    return features_of(backbone, lambda: [images], fingerprint, recipe, CPU, "photos").values


def cached_values(backbone) -> np.ndarray:
    """Values that are not computed: there are no images to compute them from."""

    def not_asked():
        raise AssertionError("computed once more")

    return features_of(backbone, not_asked, "shipped", RECIPE, CPU, "photos").values


def constant(n) -> ImageSet:
    return packed([np.full((64, 64, 3), 100, np.uint8)] * n, list(np.arange(n) % 2))


class TestFeatures:
    def test_are_timms_pooled_features(self, images, lite0):
        found = features_of(lite0, lambda: [images], "shipped", RECIPE, CPU, "photos")
        assert found.values.shape == (32, 1280)
        assert found.values.dtype == np.float32
        np.testing.assert_array_equal(found.labels, images.labels)
        model = timm.create_model("tf_efficientnet_lite0", num_classes=7).eval()
        missing, extra = model.load_state_dict(lite0.state, strict=False)
        assert (missing, extra) == (["classifier.weight", "classifier.bias"], [])
        config = model.pretrained_cfg
        (canvas,) = images.pixels
        pixels = (canvas / 255 - np.array(config["mean"])) / np.array(config["std"])
        with torch.inference_mode():
            batch = torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float()
            expected = model.forward_features(batch).mean((2, 3)).numpy()
        np.testing.assert_allclose(found.values, expected, atol=1e-4)

    def test_are_the_same_in_any_order_and_company(self, images, lite0):
        order = np.random.default_rng(0).permutation(32)[:11]
        some = chosen(images, order)
        alone = extract(lite0, some, fingerprint="some")
        np.testing.assert_allclose(alone, extract(lite0, images)[order], atol=1e-4)

    def test_come_in_the_order_of_the_parts(self, images, lite0):
        parts = [chosen(images, range(5)), chosen(images, range(5, 32))]
        found = features_of(lite0, lambda: iter(parts), "parts", RECIPE, CPU, "photos")
        np.testing.assert_allclose(found.values, extract(lite0, images), atol=1e-4)
        np.testing.assert_array_equal(found.labels, images.labels)

    def test_are_computed_once(self, images, lite0):
        first = features_of(lite0, lambda: [images], "shipped", RECIPE, CPU, "photos")
        assert len(cached()) == 1
        np.testing.assert_array_equal(cached_values(lite0), first.values)
        again = features_of(lite0, lambda: [], "shipped", RECIPE, CPU, "photos")
        np.testing.assert_array_equal(again.labels, images.labels)

    def test_other_weights_images_or_crops_are_not_the_same(self, images, lite0):
        first = extract(lite0, images)
        key = "conv_stem.weight"
        other = replace(lite0, state={**lite0.state, key: lite0.state[key] * 0.9})
        assert not np.array_equal(extract(other, images), first)
        smaller = extract(lite0, images, RecipeSpec(image_size=48, eval_crop=1.0))
        assert not np.array_equal(smaller, first)
        extract(lite0, images, RecipeSpec(image_size=64, eval_crop=0.9))
        extract(lite0, images, fingerprint="others")
        assert len(cached()) == 5

    def test_damaged_cache_is_made_anew(self, images, lite0):
        first = extract(lite0, images)
        (path,) = cached()
        path.write_bytes(path.read_bytes()[:-100])
        np.testing.assert_array_equal(extract(lite0, images), first)
        np.testing.assert_array_equal(cached_values(lite0), first)

    def test_cache_that_cannot_be_written_is_done_without(self, images, lite0):
        features_folder().parent.mkdir(parents=True)
        features_folder().write_text("a file where the folder should be")
        assert extract(lite0, images).shape == (32, 1280)

    def test_weights_that_are_not_finite(self, images, lite0):
        key = "conv_head.weight"
        broken = replace(lite0, state={**lite0.state, key: lite0.state[key] * torch.nan})
        with pytest.raises(DataError, match=r"photos: .* not finite for 32 of 32 images"):
            extract(broken, images)
        assert not cached()

    def test_weights_of_nothing_but_zeros(self, images, lite0):
        zeros = {key: torch.zeros_like(tensor) for key, tensor in lite0.state.items()}
        with pytest.raises(DataError, match=r"photos: .* all 32 images the same features"):
            extract(replace(lite0, state=zeros), images)
        assert not cached()

    @pytest.mark.parametrize("n", [2, 32, 201])
    def test_images_that_are_all_the_same(self, lite0, n):
        with pytest.raises(DataError, match=rf"photos: .* all {n} images the same features"):
            extract(lite0, constant(n))
        assert not cached()
