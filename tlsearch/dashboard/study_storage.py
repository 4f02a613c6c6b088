"""The studies that optuna-dashboard shows, and where files of their trials are kept."""

import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.study._frozen import FrozenStudy

from tlsearch.records import BEING_CREATED_PREFIX

_FOLDERS = sa.text(
    "SELECT DISTINCT value_json::json #>> '{checkpoints,folder}' AS folder"
    " FROM study_user_attributes WHERE key = 'spec' ORDER BY folder"
)


class DashboardStorage(_CachedStorage):
    """Optuna's storage that keeps finished trials in memory, without studies being created."""

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the studies that are complete."""
        found = super().get_all_studies()
        return [study for study in found if not study.study_name.startswith(BEING_CREATED_PREFIX)]


def folders_of_specs(storage: RDBStorage) -> list[str]:
    """Return the folders that the specs of the studies name for files of trials."""
    with storage.engine.connect() as connection:
        return [row.folder for row in connection.execute(_FOLDERS) if row.folder]
