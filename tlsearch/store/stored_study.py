"""A study as the database holds it: what its user attributes say, read and written in one place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlsearch.records import Prior
from tlsearch.space import SearchSpace
from tlsearch.spec import StudySpec, parse_spec, spec_hash, to_toml_dict, with_legacy_values

PRIOR = "prior"  # the user attribute that holds it
FAMILY_OF = "family_of"  # the user attribute of a study that tlsearch keeps beside a search
FLOOR = "floor"  # the user attribute of a study whose trial 0 is its floor


@dataclass(frozen=True, slots=True)
class StudyData:
    """What the images were when the study was created.

    Attributes:
        class_names: by class index.
        fingerprint: of all images, labels and splits.
        n_train: training images.
        n_val: validation images.
        n_test: test images.
        test_sha256: of the content of the test images, which is not in the fingerprint; None where
            an earlier version created the study.
        left_out: names of images that could not be read, and are not used.
    """

    class_names: tuple[str, ...]
    fingerprint: str
    n_train: int
    n_val: int
    n_test: int
    test_sha256: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyBackbone:
    """What the pretrained network was when the study was created.

    Attributes:
        layers: their names, from the input; the classifier is the last.
        weights_sha256: of its weights.
    """

    layers: tuple[str, ...]
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What created the study.

    Attributes:
        versions: of packages, by name.
        git_commit: of tlsearch; None where it ran from no checkout.
    """

    versions: Mapping[str, str]
    git_commit: str | None


@dataclass(frozen=True, slots=True)
class Family:
    """The search that a study was made from.

    Attributes:
        name: of the search.
        study_id: Optuna's key of it.
    """

    name: str
    study_id: int


@dataclass(frozen=True)
class StoredStudy:
    """A study as the database holds it.

    Attributes:
        study_id: Optuna's key.
        name: its name.
        spec: the spec it was created from, without the storage URL.
        spec_hash: SHA-256 of that spec.
        space: the search space, every range filled in.
        data: what the images were.
        backbone: what the network was.
        provenance: what created it.
        prior: where its search starts, at the time of reading; None where there is no prior (yet).
        has_floor: whether its trial 0 is a linear classifier on fixed features.
        family_of: the search that it was made from; None of a search.
    """

    study_id: int
    name: str
    spec: StudySpec
    spec_hash: str
    space: SearchSpace
    data: StudyData
    backbone: StudyBackbone
    provenance: Provenance
    prior: Prior | None = None
    has_floor: bool = False
    family_of: Family | None = None

    def trains_as(self, other: "StoredStudy") -> bool:
        """Whether the same hyperparameters and seed train the same model in another study."""
        ours, theirs = (
            (each.spec.data, each.spec.backbone, each.spec.recipe, each.data, each.backbone)
            for each in (self, other)
        )
        return ours == theirs


def is_of_tlsearch(attrs: Mapping[str, Any]) -> bool:
    """Whether the user attributes of a study are those that tlsearch writes."""
    return "spec" in attrs and "spec_hash" in attrs


def to_attrs(
    spec: StudySpec,
    space: SearchSpace,
    data: StudyData,
    backbone: StudyBackbone,
    provenance: Provenance,
) -> dict[str, Any]:
    """Return the user attributes of a new study."""
    return {
        "space": space.as_dict(),
        "data": asdict(data),
        "backbone": asdict(backbone),
        "provenance": asdict(provenance),
        **spec_attrs(spec),
    }


def spec_attrs(spec: StudySpec) -> dict[str, Any]:
    """Return the user attributes that hold a study's spec."""
    return {"spec": to_toml_dict(spec), "spec_hash": spec_hash(spec)}


def from_attrs(study_id: int, name: str, attrs: Mapping[str, Any]) -> StoredStudy:
    """Read what `to_attrs` wrote, and the prior if the study has one."""
    data, backbone = attrs["data"], attrs["backbone"]
    return StoredStudy(
        study_id=study_id,
        name=name,
        spec=parse_spec(with_legacy_values(attrs["spec"])),
        spec_hash=attrs["spec_hash"],
        space=SearchSpace.from_dict(attrs["space"]),
        data=StudyData(
            **{
                **data,
                "class_names": tuple(data["class_names"]),
                "left_out": tuple(data.get("left_out", ())),
            }
        ),
        backbone=StudyBackbone(tuple(backbone["layers"]), backbone["weights_sha256"]),
        provenance=Provenance(**attrs["provenance"]),
        prior=prior_from(attrs.get(PRIOR)),
        has_floor=bool(attrs.get(FLOOR)),
        family_of=_family_from(attrs.get(FAMILY_OF)),
    )


def _family_from(stored: Any) -> Family | None:
    return Family(stored["name"], stored["study_id"]) if isinstance(stored, dict) else None


def prior_from(stored: Mapping[str, Any] | None) -> Prior | None:
    """Read a stored prior; None where there is none."""
    return None if stored is None else Prior.from_dict(stored)
