"""The ends of the learning curves of a study's best trials."""

from dataclasses import dataclass

import sqlalchemy as sa

# By the mean of the whole end rather than by the last epoch: a trial that was lucky in its last
# epoch would seem to rise. The means and the slopes of chance fluctuations are uncorrelated.
_ENDINGS = sa.text(
    "SELECT array_agg(intermediate_value ORDER BY step) AS ending, count(*) OVER () AS complete"
    " FROM trials JOIN trial_intermediate_values AS curve USING (trial_id)"
    " WHERE study_id = :study_id AND state = 'COMPLETE'"
    " AND intermediate_value_type = 'FINITE' AND step BETWEEN :first AND :last AND NOT EXISTS"
    "   (SELECT 1 FROM trial_user_attributes AS a"
    "    WHERE a.trial_id = trials.trial_id AND a.key = 'duplicate_of')"
    " GROUP BY trial_id HAVING count(intermediate_value) = :last - :first + 1"
    " ORDER BY avg(intermediate_value) DESC, trial_id LIMIT :top"
)


@dataclass(frozen=True, slots=True)
class Endings:
    """Validation accuracies of the last epochs.

    Attributes:
        of_best: a row of fractions for each of the best trials, in the order of the epochs; the
            trial with the highest mean first.
        n_complete: how many complete trials they were chosen from, without duplicates.
    """

    of_best: tuple[tuple[float, ...], ...]
    n_complete: int


def read_endings(
    engine: sa.Engine, study_id: int, first_epoch: int, last_epoch: int, top: int
) -> Endings:
    """Read the accuracies from `first_epoch` to `last_epoch` of the best complete trials."""
    values = {"study_id": study_id, "first": first_epoch, "last": last_epoch, "top": top}
    with engine.connect() as connection:
        rows = connection.execute(_ENDINGS, values).all()
    return Endings(tuple(tuple(row.ending) for row in rows), rows[0].complete if rows else 0)
