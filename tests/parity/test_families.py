"""Any classifier of timm: built, its layers ordered, its weights loaded, trained."""

import math
from collections import Counter
from functools import cache

import pytest
import timm
import torch

from tests.parity.families import (
    MOST_PARAMETERS,
    Found,
    Member,
    every_network,
    loaded,
    refusal_of,
    smallest,
    whole,
)
from tests.parity.trainings import CPU
from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData, fine_tune
from tlsearch.finetune.checkpoint import load_weights
from tlsearch.measures import check_size
from tlsearch.records import Hyperparameters
from tlsearch.spec import DataSpec, RecipeSpec

DOZEN = (
    "test_efficientnet",
    "test_nfnet",
    "test_mambaout",
    "test_byobnet",
    "test_convnext",
    "test_vit",
    "test_resnet",
    "test_coatnet",
    "test_vit_relpos",
    "lcnet_035",
    "mobilevit_xxs",
    "efficientvit_m0",
)
# Small members of families that are unlike one another, and a size at which each trains fast.
SAMPLE = {
    "cait_xxs24_224": 32,
    "coat_tiny": 64,
    "convit_tiny": 64,
    "csatv2": 64,
    "deit_tiny_distilled_patch16_224": 64,
    "densenet121": 64,
    "dla46x_c": 64,
    "edgenext_xx_small": 64,
    "efficientformerv2_s0": 96,
    "efficientvit_m0": 64,
    "fastvit_t8": 64,
    "gmlp_ti16_224": 224,
    "hrnet_w18_small": 64,
    "levit_128s": 96,
    "mobilevit_xxs": 64,
    "mvitv2_tiny": 64,
    "nest_tiny": 128,
    "pit_ti_distilled_224": 64,
    "poolformerv2_s12": 64,
    "regnetx_002": 64,
    "repvit_m1": 64,
    "swiftformer_xs": 64,
    "tiny_vit_5m_224": 64,
    "vit_tiny_patch16_dinov3_qkvb": 64,
    "xcit_nano_12_p8_224": 32,
}
KNOBS = Hyperparameters(
    reinit_layers=2,
    high_lr=1e-3,
    low_lr_ratio=0.3,
    low_layers=2,
    alpha=0.02,
    beta=0.003,
    l2sp_layers=3,
)


def report(found: list[Found]) -> str:
    refused = [f"{each.member.name}: {each.refused}" for each in found if each.refused]
    counts = Counter(each.order for each in found if not each.refused)
    heads = Counter(str(each.takes_head) for each in found if not each.refused)
    return "\n".join(
        [
            f"timm {timm.__version__}: {len(found)} networks, {len(refused)} refused",
            f"order of layers: {dict(counts)}; takes the linear probe: {dict(heads)}",
            *refused,
        ]
    )


@pytest.mark.parametrize("name", DOZEN)
def test_a_dozen(name, tmp_path):
    found = refusal_of(Member("", name, 0), lambda member: whole(member, tmp_path))
    assert found.refused is None


@pytest.fixture(scope="module")
def networks() -> list[Found]:
    return every_network()


@pytest.mark.slow
@pytest.mark.timeout(3600)  # some 1,400 networks, on cores that may be busy
def test_every_network(networks, capsys):
    """All that timm lists, with their layers ordered."""
    with capsys.disabled():
        print(f"\n{report(networks)}")
    assert len(networks) == len(timm.list_models())
    assert sum(each.refused is not None for each in networks) <= 0.02 * len(networks)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_family(networks, tmp_path, capsys):
    """At most 2 % of the families may be refused; what is, and why, is printed."""
    found = [
        refusal_of(each.member, lambda member: whole(member, tmp_path))
        if each.refused is None and each.member.n_parameters <= MOST_PARAMETERS
        else each
        for each in smallest(networks)
    ]
    with capsys.disabled():
        print(f"\n{report(found)}")
    assert len(found) == len(timm.list_modules())
    assert sum(each.refused is not None for each in found) <= 0.02 * len(found)


@cache
def few_images(size: int) -> FineTuneData:
    spec = DataSpec(path="builtin:fashion-mnist-30", train_per_class=4, val_per_class=2)
    return FineTuneData.on_device(load_training_data(load_catalog(spec), size, 1.0), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_families_train(name, tmp_path):
    """Two epochs with all that acts on layers, evaluations between them, at another size."""
    size = SAMPLE[name]
    backbone = loaded(Member("", name, 0), tmp_path, size)
    check_size(backbone)
    recipe = RecipeSpec(
        image_size=size, epochs=2, batch_size=20, warmup_epochs=1, eval_crop=1.0, ema_epochs=1
    )
    kept: list[bytes] = []
    data = few_images(size)
    result = fine_tune(backbone, data, recipe, KNOBS, CPU, on_checkpoint=kept.append)
    assert all(math.isfinite(epoch.train_loss) for epoch in result.curve)
    trained = load_weights(kept[-1])
    moved = [key for key, tensor in backbone.state.items() if not torch.equal(trained[key], tensor)]
    assert len(moved) > 0.5 * len(backbone.state)
    resumed = fine_tune(backbone, data, recipe, KNOBS, CPU, resume=kept[0])
    assert [epoch.train_loss for epoch in resumed.curve] == [e.train_loss for e in result.curve]
    assert resumed.val_predictions == result.val_predictions
