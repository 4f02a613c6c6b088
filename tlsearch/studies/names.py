"""Names that a study may have."""

from tlsearch.errors import SpecError
from tlsearch.records import BEING_CREATED_PREFIX, MEASURES_SUFFIX
from tlsearch.records.names import FAMILY_SUFFIXES, LONGEST_NAME
from tlsearch.spec import StudySpec


def check_name(spec: StudySpec) -> None:
    """Check that a study may have the name of its spec.

    Raises:
        SpecError: it may not.
    """
    if why := _why_not(spec.name):
        raise SpecError([f"name = {spec.name!r}: {why}; choose another"])
    most = LONGEST_NAME - len(MEASURES_SUFFIX)
    if spec.measures.when != "off" and len(spec.name) > most:
        raise SpecError(
            [
                f"name: has {len(spec.name)} characters; at most {most} leave room for "
                f"{MEASURES_SUFFIX} after it; choose a shorter one"
            ]
        )


def _why_not(name: str) -> str | None:
    for suffix in FAMILY_SUFFIXES:
        if name.endswith(suffix):
            return f"names that end in {suffix} are reserved"
    if name.startswith(BEING_CREATED_PREFIX):
        return f"names that begin with {BEING_CREATED_PREFIX} are reserved"
    if name.startswith("-"):
        return "commands would read it as an option"
    return None
