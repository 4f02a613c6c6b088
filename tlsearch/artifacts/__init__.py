"""Files of trials (checkpoints, models, pictures): a folder, or a bucket that speaks S3."""

from tlsearch.artifacts.base import ATTEMPT_SUFFIX, Artifacts, attempt_file, check_name
from tlsearch.artifacts.folder import HALF_WRITTEN, STALE_AFTER_SECONDS, ArtifactFolder
from tlsearch.artifacts.open import (
    ENVIRONMENT,
    artifacts_place,
    check_place,
    default_folder,
    open_artifacts,
    remove_if_there,
)
from tlsearch.artifacts.pictures import picture_attrs, remove_pictures, shown_files
from tlsearch.artifacts.whole_folder import whole_folder

__all__ = [
    "ATTEMPT_SUFFIX",
    "ENVIRONMENT",
    "HALF_WRITTEN",
    "STALE_AFTER_SECONDS",
    "ArtifactFolder",
    "Artifacts",
    "artifacts_place",
    "attempt_file",
    "check_name",
    "check_place",
    "default_folder",
    "open_artifacts",
    "picture_attrs",
    "remove_if_there",
    "remove_pictures",
    "shown_files",
    "whole_folder",
]
