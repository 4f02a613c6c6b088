"""What is trained on: the table `[data]`."""

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from tlsearch.spec.candidates import without_empty
from tlsearch.spec.fields import Fraction, Table

TORCHVISION, PAPER, HF = "torchvision:", "paper:", "hf:"  # before the name of a set
S3 = "s3://"  # before the name of a bucket
MOST_FOLDS = 10


class ColumnsSpec(Table):
    """The columns of a manifest; read by `tlsearch.data`.

    Attributes:
        path, label: of the images' paths and of their classes.
        split: of their splits; None = `split`, where there is such a column; "" = none is read.
        group: of what must not be divided between splits; None = `group`, likewise.
        weight: of how much each training image counts in the loss; None = all alike.
        label_separator: between several labels in one cell; None = `|`.
        labels: columns of 0 and 1, one a class, in place of `label`.
    """

    path: str = Field("path", min_length=1)
    label: str = Field("label", min_length=1)
    split: str | None = None
    group: str | None = None
    weight: str | None = Field(None, min_length=1)
    label_separator: str | None = Field(None, min_length=1)
    labels: list[str] = Field([])

    @property
    def are_of_several_labels(self) -> bool:
        """Whether they say how several labels of an image are written."""
        return bool(self.labels or self.label_separator)

    @model_serializer(mode="wrap")
    def _without_what_is_as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the keys that studies of one label do not have, and what `labels` replace."""
        values = without_empty(plain(self), "label_separator", "labels")
        return {k: v for k, v in values.items() if k != "label" or not self.labels}

    @model_validator(mode="after")
    def _one_form_of_labels(self) -> "ColumnsSpec":
        if self.labels and (self.label_separator or "label" in self.model_fields_set):
            raise ValueError(
                "labels are columns of 0 and 1, label and label_separator of one column with all "
                "labels of an image; give one of the two forms"
            )
        if self.labels and not all(self.labels):
            raise ValueError("labels must name columns, none of them empty")
        return self

    @model_validator(mode="after")
    def _one_use_each(self) -> "ColumnsSpec":
        label = self.labels or [self.label]
        given = (self.path, *label, self.split, self.group, self.weight)
        named = [name for name in given if name]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"{name!r} is given twice; name a column of its own for each")
        return self


class DataSpec(Table):
    """Where the images are and how they are split; read by `tlsearch.data`.

    Attributes:
        path: a folder of images, a manifest (.csv, .tsv, .parquet), either also in a bucket
            (`s3://BUCKET/...`), a folder of idx files, a .npz file, `torchvision:NAME`,
            `paper:NAME`, `hf:NAME`, or `builtin:fashion-mnist-30`; relative to the spec file.
        root: where torchvision, or the paper's sets, are; relative to the spec file.
        download: whether a set of torchvision that is not there is downloaded.
        format: `auto` = found from the path; `classes` = a folder whose folders are all classes,
            whatever their names.
        columns: of a manifest.
        val_fraction: share of each class for validation, where the data has no validation split.
        test_fraction: share of each class for testing, where the data has no splits.
        train_per_class, val_per_class, test_per_class: number of images to use of each class
            (0 = all), the first of a seeded shuffle.
        splits: `stable` = each image goes by its own content, so what is added or removed moves
            no other, and the shares are near the fractions; `ranked` = the first of a shuffle by
            name, so the shares are exact.
        split_seed: seed of the splits.
        max_bad_fraction: share of all images that may be left out because they cannot be read; with
            more of them `check` and `create` stop.
        folds: how many parts the training and validation images are divided into, each validated by
            a network that is trained on the others (2 to 10); 0 = there are none.
        bit_depth: bits that the values use in files that have room for more and do not say how
            many are used, such as 12 of 16; None = all.
        multi_label: whether an image may have several labels, or none.
    """

    path: str = Field(min_length=1)
    root: str | None = Field(None, min_length=1)
    download: bool = False
    format: Literal["auto", "folder", "classes", "manifest", "huggingface", "idx", "npz"] = "auto"
    columns: ColumnsSpec = ColumnsSpec()
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2
    train_per_class: int = Field(0, ge=0)
    val_per_class: int = Field(0, ge=0)
    test_per_class: int = Field(0, ge=0)
    splits: Literal["stable", "ranked"] = "stable"
    split_seed: int = Field(0, ge=0, lt=2**31)
    max_bad_fraction: Fraction = 0.0
    folds: int = 0
    bit_depth: int | None = Field(None, ge=1, le=16)
    multi_label: bool = False

    @field_validator("folds")
    @classmethod
    def _no_folds_or_several(cls, folds: int) -> int:
        if folds != 0 and not 2 <= folds <= MOST_FOLDS:
            raise ValueError(f"must be 2 to {MOST_FOLDS}, or 0 for none")
        return folds

    def at(self, place: str) -> "DataSpec":
        """Return the same data where they lie elsewhere on this machine."""
        key = "root" if self.path.startswith((TORCHVISION, PAPER)) else "path"
        return self.model_copy(update={key: place})

    @model_validator(mode="after")
    def _a_name_of_the_hub(self) -> "DataSpec":
        if self.path.startswith(HF) and not self.path.removeprefix(HF).partition(":")[0]:
            raise ValueError(f"path must be {HF}NAME or {HF}NAME:CONFIGURATION; add the name")
        return self

    @model_validator(mode="after")
    def _no_credentials(self) -> "DataSpec":
        if self.path.startswith(S3) and ({"@", "?"} & set(self.path.removeprefix(S3))):
            raise ValueError(
                f"path must be {S3}BUCKET/FOLDER alone; keys belong into the environment "
                "(AWS_ACCESS_KEY_ID) or ~/.aws, not into a spec"
            )
        return self

    @model_validator(mode="after")
    def _root_of_torchvision(self) -> "DataSpec":
        named = self.path.startswith((TORCHVISION, PAPER))
        if not named and (self.root is not None or self.download):
            raise ValueError(
                f"root and download are of {TORCHVISION}NAME and {PAPER}NAME as data.path; drop "
                "them"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what studies of one label and without folds do not have."""
        return without_empty(plain(self), "multi_label", "folds")

    @model_validator(mode="after")
    def _of_several_labels(self) -> "DataSpec":
        if not self.multi_label:
            if self.columns.are_of_several_labels:
                raise ValueError(
                    "columns.labels and columns.label_separator are of several labels an image; "
                    "set data.multi_label = true, or leave them out"
                )
            return self
        if self.splits == "ranked":
            raise ValueError(
                'splits = "ranked" takes an exact share of each class, which images of several '
                "labels do not allow; leave it out where multi_label = true"
            )
        if self.columns.weight is not None:
            raise ValueError(
                "columns.weight is of one label an image; leave it out where multi_label = true"
            )
        limits = ("train_per_class", "val_per_class", "test_per_class")
        for key in limits:
            if getattr(self, key):
                raise ValueError(
                    f"{key} counts images of one class each; leave it out where multi_label = "
                    "true, and drop rows of the manifest"
                )
        return self

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> "DataSpec":
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"val_fraction + test_fraction = {self.val_fraction + self.test_fraction:g} must "
                "be below 1, to leave images for training"
            )
        return self
