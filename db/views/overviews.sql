-- Views to ask about studies, workers and what was spent.

CREATE VIEW tlsearch.study_overview AS
SELECT names.study,
       CASE WHEN controls.state IN ('paused', 'stopped') THEN controls.state
            WHEN controls.until <= clock_timestamp()
                 OR controls.gpu_hours <= coalesce(held.gpu_hours, 0)
                 OR controls.target_accuracy <= best.val_accuracy
                 OR (aim.objective <> 'accuracy' AND controls.target_accuracy <= (
                     SELECT max(every.val_accuracy) FROM tlsearch.best_trials AS every
                     WHERE every.study = names.study))
                 OR controls.patience_trials <= counted.since_best
                 OR (controls.trials <= counted.begun AND counted.running = 0) THEN 'done'
            ELSE controls.state END AS state,
       counted.waiting, counted.running, counted.complete, counted.pruned, counted.fail,
       counted.begun AS trials_begun, controls.trials AS budget_trials,
       coalesce(held.gpu_hours, 0) AS gpu_hours_used, controls.gpu_hours AS budget_gpu_hours,
       controls.until AS budget_until, controls.target_accuracy AS budget_target_accuracy,
       counted.since_best AS trials_since_best,
       controls.patience_trials AS budget_patience_trials,
       best.trial AS best_trial, best.val_accuracy AS best_val_accuracy,
       plain.val_accuracy AS default_val_accuracy,
       floor.val_accuracy AS fixed_features_val_accuracy,
       aim.objective, best.val_objective AS best_val_objective,
       tlsearch.figure_of(aim.objective, plain.value) AS default_val_objective,
       tlsearch.figure_of(aim.objective, floor.value) AS fixed_features_val_objective,
       (SELECT tlsearch.read_text(value_json) FROM study_user_attributes AS attr
        WHERE attr.study_id = names.study_id AND key = 'spec_hash') AS spec_hash
FROM tlsearch.study_names AS names
LEFT JOIN tlsearch.controls USING (study_id)
LEFT JOIN (SELECT study, trial, val_accuracy, objective, val_objective
           FROM tlsearch.best_trials WHERE rank = 1) AS best
    USING (study)
LEFT JOIN LATERAL (
    SELECT coalesce(tlsearch.read_json(value_json) ->> 'objective', 'accuracy') AS objective
    FROM study_user_attributes AS spec
    WHERE spec.study_id = names.study_id AND spec.key = 'spec'
) AS aim ON true
LEFT JOIN LATERAL (
    SELECT value,
           CASE WHEN EXISTS (SELECT FROM trial_user_attributes AS own
                             WHERE own.trial_id = trials.trial_id AND own.key = 'objective')
                THEN (SELECT tlsearch.read_number(value_json) FROM trial_user_attributes AS seen
                      WHERE seen.trial_id = trials.trial_id AND seen.key = 'val_accuracy')
                ELSE value END AS val_accuracy
    FROM trials JOIN trial_values USING (trial_id)
    JOIN trial_user_attributes AS attr USING (trial_id)
    WHERE trials.study_id = names.study_id AND state = 'COMPLETE'
      AND trial_values.objective = 0 AND attr.key = 'origin' AND attr.value_json = '"default"'
    ORDER BY value DESC NULLS LAST LIMIT 1
) AS plain ON true
LEFT JOIN LATERAL (
    SELECT value,
           CASE WHEN EXISTS (SELECT FROM trial_user_attributes AS own
                             WHERE own.trial_id = trials.trial_id AND own.key = 'objective')
                THEN (SELECT tlsearch.read_number(value_json) FROM trial_user_attributes AS seen
                      WHERE seen.trial_id = trials.trial_id AND seen.key = 'val_accuracy')
                ELSE value END AS val_accuracy
    FROM trials JOIN trial_values USING (trial_id)
    JOIN trial_user_attributes AS attr USING (trial_id)
    WHERE trials.study_id = names.study_id AND state = 'COMPLETE'
      AND trial_values.objective = 0 AND attr.key = 'origin'
      AND attr.value_json = '"fixed_features"'
    ORDER BY value DESC NULLS LAST LIMIT 1
) AS floor ON true
LEFT JOIN (
    SELECT study_id, date_part('epoch', sum(coalesce(ended_at, last_seen_at) - started_at))
                     / 3600 AS gpu_hours
    FROM tlsearch.attempts GROUP BY study_id
) AS held USING (study_id)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'WAITING') AS waiting,
           count(*) FILTER (WHERE state = 'RUNNING') AS running,
           count(*) FILTER (WHERE state = 'COMPLETE') AS complete,
           count(*) FILTER (WHERE state = 'PRUNED') AS pruned,
           count(*) FILTER (WHERE state = 'FAIL') AS fail,
           count(*) FILTER (WHERE state <> 'WAITING') AS begun,
           count(*) FILTER (WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')
                                  AND (datetime_complete, trials.trial_id) > (
               SELECT first.datetime_complete, first.trial_id
               FROM trials AS first JOIN trial_values USING (trial_id)
               WHERE first.study_id = names.study_id AND state = 'COMPLETE' AND objective = 0
                     AND value = tlsearch.figure_of(best.objective, best.val_objective)
               ORDER BY first.datetime_complete, first.trial_id
               LIMIT 1)) AS since_best
    FROM trials WHERE trials.study_id = names.study_id
) AS counted;
COMMENT ON VIEW tlsearch.study_overview IS
    'Where every study stands, and its budget as it is now (a NULL limit: none)';
COMMENT ON COLUMN tlsearch.study_overview.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.study_overview.state IS
    'running, paused, stopped or done (its budget is used up); NULL of Optuna''s own studies';
COMMENT ON COLUMN tlsearch.study_overview.waiting IS 'Trials in the queue';
COMMENT ON COLUMN tlsearch.study_overview.running IS 'Trials that a worker holds';
COMMENT ON COLUMN tlsearch.study_overview.complete IS 'Trials that ran to their end';
COMMENT ON COLUMN tlsearch.study_overview.pruned IS 'Trials that were stopped as not promising';
COMMENT ON COLUMN tlsearch.study_overview.fail IS 'Trials that failed';
COMMENT ON COLUMN tlsearch.study_overview.trials_begun IS 'All but those in the queue';
COMMENT ON COLUMN tlsearch.study_overview.budget_trials IS 'Trials that may begin';
COMMENT ON COLUMN tlsearch.study_overview.gpu_hours_used IS
    'Hours that workers held its trials, up to the last heartbeat';
COMMENT ON COLUMN tlsearch.study_overview.budget_gpu_hours IS 'How many of them it may use';
COMMENT ON COLUMN tlsearch.study_overview.budget_until IS 'When its time is up';
COMMENT ON COLUMN tlsearch.study_overview.budget_target_accuracy IS
    'The validation accuracy that ends it, a fraction';
COMMENT ON COLUMN tlsearch.study_overview.trials_since_best IS
    'Trials that ended after the best one did';
COMMENT ON COLUMN tlsearch.study_overview.budget_patience_trials IS 'How many of them end it';
COMMENT ON COLUMN tlsearch.study_overview.best_trial IS 'Number of the best complete trial';
COMMENT ON COLUMN tlsearch.study_overview.best_val_accuracy IS 'Its accuracy, a fraction';
COMMENT ON COLUMN tlsearch.study_overview.default_val_accuracy IS
    'That of the plain fine-tuning default, which a search has to beat';
COMMENT ON COLUMN tlsearch.study_overview.fixed_features_val_accuracy IS
    'That of the floor, a linear classifier on fixed features, which it has to beat as well';
COMMENT ON COLUMN tlsearch.study_overview.objective IS
    'What the study makes best: accuracy, balanced_accuracy, macro_f1, log_loss or'
    ' mean_average_precision';
COMMENT ON COLUMN tlsearch.study_overview.best_val_objective IS
    'Its figure of the best complete trial; log loss in nats';
COMMENT ON COLUMN tlsearch.study_overview.default_val_objective IS
    'The same of the plain fine-tuning default';
COMMENT ON COLUMN tlsearch.study_overview.fixed_features_val_objective IS 'The same of the floor';
COMMENT ON COLUMN tlsearch.study_overview.spec_hash IS 'SHA-256 of the spec it was created from';

CREATE VIEW tlsearch.workers AS
SELECT session.name AS worker, session.host, session.pid, session.device, session.device_name,
       session.started_at, session.last_seen_at,
       CASE WHEN session.left_at IS NULL THEN
           date_part('epoch', clock_timestamp() - session.last_seen_at) END AS seconds_silent,
       CASE WHEN session.left_at IS NOT NULL THEN 'left'
            WHEN date_part('epoch', clock_timestamp() - session.last_seen_at)
                 > session.stalled_after_seconds THEN 'silent'
            WHEN held.trial_id IS NOT NULL THEN 'working' ELSE 'idle' END AS state,
       names.study, trials.number AS trial, held.attempt,
       coalesce(done.trials_ended, 0) AS trials_ended,
       session.left_at, session.left_because
FROM tlsearch.worker_sessions AS session
LEFT JOIN tlsearch.attempts AS held
    ON held.worker_id = session.worker_id AND held.ended_at IS NULL
LEFT JOIN trials ON trials.trial_id = held.trial_id
LEFT JOIN tlsearch.study_names AS names ON names.study_id = trials.study_id
LEFT JOIN (
    SELECT worker_id, count(*) AS trials_ended FROM tlsearch.attempts
    WHERE ended IN ('complete', 'pruned', 'fail') GROUP BY worker_id
) AS done ON done.worker_id = session.worker_id;
COMMENT ON VIEW tlsearch.workers IS 'Every worker process there was, and what it does now';
COMMENT ON COLUMN tlsearch.workers.worker IS 'Host, process and device, as in trials_flat';
COMMENT ON COLUMN tlsearch.workers.host IS 'The machine';
COMMENT ON COLUMN tlsearch.workers.pid IS 'The process on it';
COMMENT ON COLUMN tlsearch.workers.device IS 'cpu, cuda:0, ...';
COMMENT ON COLUMN tlsearch.workers.device_name IS 'What the device is called';
COMMENT ON COLUMN tlsearch.workers.started_at IS 'When it began';
COMMENT ON COLUMN tlsearch.workers.last_seen_at IS 'Its last heartbeat';
COMMENT ON COLUMN tlsearch.workers.seconds_silent IS 'Since then; NULL once it has left';
COMMENT ON COLUMN tlsearch.workers.state IS
    'working, idle, left, or silent: it said nothing for longer than its study allows';
COMMENT ON COLUMN tlsearch.workers.study IS 'Of the trial it holds';
COMMENT ON COLUMN tlsearch.workers.trial IS 'Number of the trial it holds';
COMMENT ON COLUMN tlsearch.workers.attempt IS 'Which attempt at that trial it is, from 1';
COMMENT ON COLUMN tlsearch.workers.trials_ended IS 'Trials it brought to an end';
COMMENT ON COLUMN tlsearch.workers.left_at IS 'When it ended on its own';
COMMENT ON COLUMN tlsearch.workers.left_because IS 'Why';

-- What of an attempt was lost: the epochs that were, or have to be, trained again. Later attempts
-- show it by where they began; while there is none, the checkpoint does.
CREATE VIEW tlsearch.trial_attempts AS
SELECT study, trial, attempt, worker, device_name, started_at, ended_at, ended, failure_kind,
       reason, first_epoch, last_epoch, checkpoint_epoch, seconds,
       CASE WHEN in_vain THEN seconds
            WHEN ended IS NULL OR ended IN ('complete', 'pruned') THEN 0
            WHEN epochs > 0 THEN
                seconds * greatest(0, least(epochs, last_epoch + 1::bigint - kept_until)) / epochs
            WHEN checkpoint_epoch IS NULL THEN seconds
            ELSE 0 END AS lost_seconds
FROM (
    SELECT names.study, trials.number AS trial, held.attempt, session.name AS worker,
           session.device_name, held.started_at, held.ended_at, held.ended,
           held.failure_kind, held.reason, held.first_epoch, held.last_epoch, held.checkpoint_epoch,
           date_part('epoch', coalesce(held.ended_at, held.last_seen_at) - held.started_at)
               AS seconds,
           trials.state = 'FAIL' AS in_vain,
           greatest(0, held.last_epoch + 1::bigint - held.first_epoch) AS epochs,
           coalesce(
               min(held.first_epoch) OVER (
                   PARTITION BY names.study, trials.number, trial_id ORDER BY held.attempt DESC
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
               held.checkpoint_epoch + 1::bigint, held.first_epoch) AS kept_until
    FROM tlsearch.study_names AS names JOIN trials USING (study_id)
    JOIN tlsearch.attempts AS held USING (trial_id)
    LEFT JOIN tlsearch.worker_sessions AS session USING (worker_id)
) AS found;
COMMENT ON VIEW tlsearch.trial_attempts IS 'Each time that a worker held a trial';
COMMENT ON COLUMN tlsearch.trial_attempts.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.trial_attempts.trial IS 'The trial''s number in its study, from 0';
COMMENT ON COLUMN tlsearch.trial_attempts.attempt IS 'From 1';
COMMENT ON COLUMN tlsearch.trial_attempts.worker IS 'Host, process and device';
COMMENT ON COLUMN tlsearch.trial_attempts.device_name IS 'What the device is called';
COMMENT ON COLUMN tlsearch.trial_attempts.started_at IS 'When the worker claimed the trial';
COMMENT ON COLUMN tlsearch.trial_attempts.ended_at IS 'When it released the trial; NULL while it holds it';
COMMENT ON COLUMN tlsearch.trial_attempts.ended IS
    'complete, pruned and fail ended the trial too; preempted, paused, stopped, budget: released;'
    ' stalled: the worker fell silent; out_of_memory, error: to be tried again';
COMMENT ON COLUMN tlsearch.trial_attempts.failure_kind IS
    'What failed: nan, out_of_memory, stalled, or the type of an exception; NULL: nothing did';
COMMENT ON COLUMN tlsearch.trial_attempts.reason IS 'Why it ended so, in a sentence';
COMMENT ON COLUMN tlsearch.trial_attempts.first_epoch IS
    '1, or the one behind the checkpoint from which it went on';
COMMENT ON COLUMN tlsearch.trial_attempts.last_epoch IS 'The last one it reported';
COMMENT ON COLUMN tlsearch.trial_attempts.checkpoint_epoch IS 'Of the last checkpoint it kept';
COMMENT ON COLUMN tlsearch.trial_attempts.seconds IS 'How long it held the trial';
COMMENT ON COLUMN tlsearch.trial_attempts.lost_seconds IS
    'The part of them that brought nothing: of a failed trial all, else by the share of epochs'
    ' that have to be trained again';

CREATE VIEW tlsearch.gpu_hours AS
SELECT study, device_name, coalesce(ended, 'held') AS ended, count(*) AS attempts,
       sum(seconds) / 3600 AS hours, sum(seconds - lost_seconds) / 3600 AS useful_hours,
       sum(lost_seconds) / 3600 AS lost_hours
FROM tlsearch.trial_attempts GROUP BY study, device_name, coalesce(ended, 'held');
COMMENT ON VIEW tlsearch.gpu_hours IS
    'Hours that devices were held by trials, by how the attempts ended; useful and lost';
COMMENT ON COLUMN tlsearch.gpu_hours.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.gpu_hours.device_name IS 'What the device is called';
COMMENT ON COLUMN tlsearch.gpu_hours.ended IS
    'How the attempts ended, as in trial_attempts; held = they have not';
COMMENT ON COLUMN tlsearch.gpu_hours.attempts IS 'How many';
COMMENT ON COLUMN tlsearch.gpu_hours.hours IS 'Up to the last heartbeat';
COMMENT ON COLUMN tlsearch.gpu_hours.useful_hours IS 'The part that led, or may lead, to a result';
COMMENT ON COLUMN tlsearch.gpu_hours.lost_hours IS
    'The part that was spent on failed trials and on epochs that have to be trained again';

CREATE VIEW tlsearch.kept_models AS
SELECT names.study, trials.number AS trial, kept.token || '.safetensors' AS file
FROM tlsearch.attempts AS kept JOIN trials USING (trial_id)
JOIN tlsearch.study_names AS names ON names.study_id = kept.study_id
WHERE kept.has_model AND kept.ended_at IS NOT NULL;
COMMENT ON VIEW tlsearch.kept_models IS
    'The files of trained models that are kept, in the study''s folder of checkpoints';
COMMENT ON COLUMN tlsearch.kept_models.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.kept_models.trial IS 'The trial''s number';
COMMENT ON COLUMN tlsearch.kept_models.file IS 'The file''s name';

CREATE VIEW tlsearch.finalists AS
SELECT found.study, found.finalist, count(*) AS n, avg(found.val_accuracy) AS mean,
       stddev_samp(found.val_accuracy) AS sd, min(found.objective) AS objective,
       avg(tlsearch.figure_of(found.objective, found.value)) AS mean_objective,
       stddev_samp(found.value) AS sd_objective
FROM (
    SELECT tlsearch.read_json(family.value_json) ->> 'name' AS study,
           tlsearch.read_text(run_of.value_json) AS finalist,
           tlsearch.read_value(result.value, result.value_type::text) AS value,
           CASE WHEN own.value_json IS NULL
                THEN tlsearch.read_value(result.value, result.value_type::text)
                ELSE tlsearch.read_number(accuracy.value_json) END AS val_accuracy,
           coalesce(tlsearch.read_text(own.value_json), 'accuracy') AS objective
    FROM tlsearch.study_names AS names
    JOIN study_user_attributes AS family
        ON family.study_id = names.study_id AND family.key = 'family_of'
    JOIN trials ON trials.study_id = names.study_id AND trials.state = 'COMPLETE'
    JOIN trial_user_attributes AS run_of
        ON run_of.trial_id = trials.trial_id AND run_of.key = 'run_of'
    JOIN trial_values AS result ON result.trial_id = trials.trial_id AND result.objective = 0
    LEFT JOIN trial_user_attributes AS own
        ON own.trial_id = trials.trial_id AND own.key = 'objective'
    LEFT JOIN trial_user_attributes AS accuracy
        ON accuracy.trial_id = trials.trial_id AND accuracy.key = 'val_accuracy'
    WHERE names.study LIKE '%/finalists'
      AND NOT EXISTS (SELECT FROM trial_user_attributes AS origin  -- a run that chose the rate
                      WHERE origin.trial_id = trials.trial_id AND origin.key = 'origin'
                        AND origin.value_json = '"default_rate"')
) AS found
WHERE found.study IS NOT NULL AND found.finalist IS NOT NULL
GROUP BY found.study, found.finalist;
COMMENT ON VIEW tlsearch.finalists IS
    'What each finalist of a study reached over its seeds, the two baselines too';
COMMENT ON COLUMN tlsearch.finalists.study IS 'Name of the search';
COMMENT ON COLUMN tlsearch.finalists.finalist IS
    'The trial of the search (trial 7), default, or fixed features';
COMMENT ON COLUMN tlsearch.finalists.n IS 'Runs that are complete, each with a seed of its own';
COMMENT ON COLUMN tlsearch.finalists.mean IS 'Mean of their validation accuracies, a fraction';
COMMENT ON COLUMN tlsearch.finalists.sd IS 'Standard deviation of them; NULL below two';
COMMENT ON COLUMN tlsearch.finalists.objective IS
    'What the study makes best: accuracy, balanced_accuracy, macro_f1, log_loss or'
    ' mean_average_precision';
COMMENT ON COLUMN tlsearch.finalists.mean_objective IS 'Mean of its figures; log loss in nats';
COMMENT ON COLUMN tlsearch.finalists.sd_objective IS 'Standard deviation of them; NULL below two';

CREATE VIEW tlsearch.measures AS
SELECT names.study,
       tlsearch.read_number(found ->> 'fixed_features') AS fixed_features,
       tlsearch.read_number(found ->> 'random_init') AS random_init,
       tlsearch.read_number(found ->> 'random_init')
           - tlsearch.read_number(found ->> 'fixed_features') AS fit,
       tlsearch.read_number(found ->> 'n_val') AS n_val,
       tlsearch.read_number(found ->> 'fisher') AS fisher,
       tlsearch.read_number(found ->> 'fisher_floor') AS fisher_floor,
       tlsearch.read_number(found ->> 'fisher_floor_spread') AS fisher_floor_spread,
       tlsearch.read_number(found ->> 'emd') AS emd,
       tlsearch.read_number(found ->> 'emd_similarity') AS emd_similarity,
       found ->> 'emd_source' AS emd_source,
       tlsearch.read_number(found ->> 'lr_range') AS lr_range,
       tlsearch.read_number(found ->> 'fixed_features_strength') AS fixed_features_strength,
       tlsearch.read_number(found ->> 'random_init_epochs') AS random_init_epochs,
       tlsearch.read_number(found ->> 'feature_seconds') AS feature_seconds,
       tlsearch.read_number(found ->> 'lr_range_seconds') AS lr_range_seconds,
       tlsearch.read_number(found ->> 'random_init_seconds') AS random_init_seconds,
       found -> 'sizes' AS sizes,
       coalesce(found ->> 'objective', 'accuracy') AS objective,
       tlsearch.read_number(found ->> 'fixed_features_error') AS fixed_features_error,
       tlsearch.read_number(found ->> 'random_init_error') AS random_init_error
FROM tlsearch.study_names AS names JOIN study_user_attributes AS attr USING (study_id)
CROSS JOIN LATERAL tlsearch.read_json(attr.value_json) AS found
WHERE attr.key = 'measures' AND jsonb_typeof(found) = 'object';
COMMENT ON VIEW tlsearch.measures IS
    'How well the pretrained weights fit: the domain measures of every study that has them';
COMMENT ON COLUMN tlsearch.measures.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.measures.fixed_features IS
    'Validation accuracy of a linear classifier on frozen features, a fraction; see objective';
COMMENT ON COLUMN tlsearch.measures.random_init IS
    'Validation accuracy of the same network trained from random weights, a fraction';
COMMENT ON COLUMN tlsearch.measures.fit IS
    'random_init - fixed_features: negative where the pretrained weights fit';
COMMENT ON COLUMN tlsearch.measures.n_val IS 'Validation images, which says how precise those are';
COMMENT ON COLUMN tlsearch.measures.fisher IS 'Normalised Fisher score of the features';
COMMENT ON COLUMN tlsearch.measures.fisher_floor IS 'The same with permuted labels: noise';
COMMENT ON COLUMN tlsearch.measures.fisher_floor_spread IS 'Standard deviation of that';
COMMENT ON COLUMN tlsearch.measures.emd IS 'Earth mover''s distance from the source domain';
COMMENT ON COLUMN tlsearch.measures.emd_similarity IS 'exp(-0.01 emd)';
COMMENT ON COLUMN tlsearch.measures.emd_source IS 'What stood for the source domain';
COMMENT ON COLUMN tlsearch.measures.lr_range IS 'Highest learning rate of use, by a range test';
COMMENT ON COLUMN tlsearch.measures.fixed_features_strength IS
    'Regularisation of that classifier (C of logistic regression: the larger, the weaker)';
COMMENT ON COLUMN tlsearch.measures.random_init_epochs IS 'Epochs from random weights';
COMMENT ON COLUMN tlsearch.measures.feature_seconds IS 'Time for features and what is on them';
COMMENT ON COLUMN tlsearch.measures.lr_range_seconds IS 'Time of the range test';
COMMENT ON COLUMN tlsearch.measures.random_init_seconds IS 'Time from random weights';
COMMENT ON COLUMN tlsearch.measures.sizes IS
    'Fixed features at other image sizes: [{image_size, val_accuracy, lead {gain, error}}, ...]';
COMMENT ON COLUMN tlsearch.measures.objective IS
    'What fixed_features and random_init are: accuracy, of several labels mean_average_precision';
COMMENT ON COLUMN tlsearch.measures.fixed_features_error IS
    'Standard error of fixed_features where it is no accuracy';
COMMENT ON COLUMN tlsearch.measures.random_init_error IS
    'Standard error of random_init where it is no accuracy';
