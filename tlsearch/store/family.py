"""A search and the studies that are kept beside it: `NAME/measures`, `NAME/finalists`, others."""

from collections.abc import Sequence
from typing import Any

from optuna.storages import RDBStorage

from tlsearch.errors import StudyError
from tlsearch.records.names import FAMILY_SUFFIXES, MEASURES_SUFFIX
from tlsearch.store.stored_study import FAMILY_OF, Family, StoredStudy
from tlsearch.store.studies import find_study, read_study


def find_search(storage: RDBStorage, name: str) -> StoredStudy:
    """Read a study that searches.

    Raises:
        StudyError: there is none of this name, or it was made from a search.
    """
    found = find_study(storage, name)
    if found.family_of is not None:
        raise StudyError(
            f"study {name!r} was made from study {found.family_of.name!r}; name that one"
        )
    return found


def family_attrs(search: StoredStudy) -> dict[str, Any]:
    """Return the user attributes by which a study is known as one of a search's family."""
    return {FAMILY_OF: {"name": search.name, "study_id": search.study_id}}


def read_member(storage: RDBStorage, search: StoredStudy, suffix: str) -> StoredStudy | None:
    """Return a study of a search's family; None where there is none.

    Raises:
        StudyError: the study of that name is of another search, or not of tlsearch's making.
    """
    found = read_study(storage, search.name + suffix)
    if found is None or found.family_of == Family(search.name, search.study_id):
        return found
    raise StudyError(
        f"study {found.name!r} was not made from study {search.name!r} as it is in this database "
        "now; delete it or rename it to have it made anew"
    )


def family(storage: RDBStorage, search: StoredStudy) -> Sequence[StoredStudy]:
    """Return the other studies of a search's family, as far as they are there."""
    found = (read_study(storage, search.name + suffix) for suffix in FAMILY_SUFFIXES)
    own = Family(search.name, search.study_id)
    return [
        each
        for each in found
        if each is not None and (each.name.endswith(MEASURES_SUFFIX) or each.family_of == own)
    ]
