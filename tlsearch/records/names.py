"""Names of studies that tlsearch keeps for itself."""

LONGEST_NAME = 200  # characters of a study's name, its suffix included
MEASURES_SUFFIX = "/measures"  # ends the name of a study that measures for another
FINALISTS_SUFFIX = "/finalists"  # ... that trains another's finalists over several seeds
KNOBS_SUFFIX = "/knobs"  # ... that tells which knob of the winner pays
FINAL_SUFFIX = "/final"  # ... that trains the models to be tested on train + val
FAMILY_SUFFIXES = (MEASURES_SUFFIX, FINALISTS_SUFFIX, KNOBS_SUFFIX, FINAL_SUFFIX)
BEING_CREATED_PREFIX = "tlsearch-being-created-"  # begins the name until all of it is stored


def measures_study_name(name: str) -> str:
    """Return the name of the study that measures for the study `name`."""
    return name + MEASURES_SUFFIX
