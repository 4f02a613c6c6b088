"""Names of studies that tlsearch keeps for itself."""

MEASURES_SUFFIX = "/measures"  # of the study that trains from random weights for another
BEING_CREATED_PREFIX = "tlsearch-being-created-"  # until a study is whole


def measures_study_name(name: str) -> str:
    """Return the name of the study that measures for the study `name`."""
    return name + MEASURES_SUFFIX
