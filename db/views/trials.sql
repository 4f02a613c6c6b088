-- Views to ask about trials. docs/sql.md shows what with.
--
-- They read Optuna's tables and tlsearch's. Whatever is in those, from other programs too, no view
-- fails on it: what cannot be read is NULL.

CREATE VIEW tlsearch.study_names AS
SELECT study_id, study_name AS study FROM studies
WHERE NOT starts_with(study_name, '{being_created_prefix}');
COMMENT ON VIEW tlsearch.study_names IS
    'Name and key of every study, Optuna''s own as well, but for those that are being created';
COMMENT ON COLUMN tlsearch.study_names.study_id IS 'Optuna''s key, as in tlsearch.attempts';
COMMENT ON COLUMN tlsearch.study_names.study IS 'The study''s name';

-- An aggregate by LATERAL for each trial: a query that wants a few trials looks up theirs alone, and
-- one that wants no hyperparameters none.
CREATE VIEW tlsearch.hyperparameters AS
SELECT trials.trial_id, drawn.*
FROM trials
LEFT JOIN LATERAL (
    SELECT max(param_value) FILTER (WHERE param_name = 'reinit_layers') AS reinit_layers,
           max(param_value) FILTER (WHERE param_name = 'high_lr') AS high_lr,
           max(param_value) FILTER (WHERE param_name = 'low_lr_ratio') AS low_lr_ratio,
           max(param_value) FILTER (WHERE param_name = 'low_layers') AS low_layers,
           max(param_value) FILTER (WHERE param_name = 'alpha') AS alpha,
           max(param_value) FILTER (WHERE param_name = 'beta') AS beta,
           max(param_value) FILTER (WHERE param_name = 'l2sp_layers') AS l2sp_layers
    FROM trial_params
    WHERE trial_params.trial_id = trials.trial_id
      AND distribution_json NOT LIKE '{"name": "Categorical%'
      AND NOT EXISTS (SELECT FROM trial_user_attributes AS attr  -- a point that was not trained
                      WHERE attr.trial_id = trials.trial_id AND attr.key = 'origin'
                        AND attr.value_json = '"fixed_features"')
) AS drawn ON true;
COMMENT ON VIEW tlsearch.hyperparameters IS
    'The seven hyperparameters of every trial; NULL: not drawn, not a number, or of fixed features';
COMMENT ON COLUMN tlsearch.hyperparameters.trial_id IS 'Optuna''s key, as in tlsearch.attempts';
COMMENT ON COLUMN tlsearch.hyperparameters.reinit_layers IS
    'Top layers started from random weights; 1 = the classifier alone; 0 = none (linear probe first)';
COMMENT ON COLUMN tlsearch.hyperparameters.high_lr IS 'Peak learning rate above the low layers';
COMMENT ON COLUMN tlsearch.hyperparameters.low_lr_ratio IS
    'Low learning rate as a share of high_lr';
COMMENT ON COLUMN tlsearch.hyperparameters.low_layers IS 'Lowest layers at the low learning rate';
COMMENT ON COLUMN tlsearch.hyperparameters.alpha IS 'Decay toward the pretrained weights (L2-SP)';
COMMENT ON COLUMN tlsearch.hyperparameters.beta IS 'Decay toward zero (L2)';
COMMENT ON COLUMN tlsearch.hyperparameters.l2sp_layers IS 'Lowest layers under L2-SP instead of L2';

-- The inner SELECT is sorted so that ORDER BY rank LIMIT k looks up the hyperparameters of k trials
-- alone.
CREATE VIEW tlsearch.best_trials AS
SELECT ranked.study, ranked.rank, ranked.trial,
       CASE WHEN own.objective IS NULL THEN ranked.value
            ELSE tlsearch.read_number(own.val_accuracy) END AS val_accuracy,
       CASE WHEN own.objective IS NULL THEN likely.expected_accuracy END AS expected_accuracy,
       CASE WHEN own.objective IS NULL THEN likely.sd END AS expected_accuracy_sd,
       coalesce(tlsearch.read_text(own.objective), 'accuracy') AS objective,
       tlsearch.figure_of(tlsearch.read_text(own.objective), ranked.value) AS val_objective,
       tlsearch.figure_of(tlsearch.read_text(own.objective), likely.expected_accuracy)
           AS expected_objective,
       likely.sd AS expected_objective_sd,
       drawn.reinit_layers, drawn.high_lr, drawn.low_lr_ratio, drawn.low_layers, drawn.alpha,
       drawn.beta, drawn.l2sp_layers,
       tlsearch.read_text(origin.value_json) AS origin,
       coalesce(held.last_epoch,
                (SELECT max(step) FROM trial_intermediate_values AS curve
                 WHERE curve.trial_id = ranked.trial_id)) AS epochs,
       coalesce(held.seconds,
                (SELECT tlsearch.read_number(value_json) FROM trial_user_attributes AS attr
                 WHERE attr.trial_id = ranked.trial_id AND attr.key = 'seconds')) AS seconds,
       (SELECT tlsearch.read_number(value_json) FROM trial_user_attributes AS attr
        WHERE attr.trial_id = ranked.trial_id AND attr.key = 'mean_with_fixed_features')
           AS mean_with_fixed_features
FROM (
    SELECT names.study, row_number() OVER best_first AS rank, trials.number AS trial, trial_id,
           tlsearch.read_value(value, value_type::text) AS value
    FROM tlsearch.study_names AS names
    JOIN study_directions AS aim ON aim.study_id = names.study_id AND aim.objective = 0
    JOIN trials ON trials.study_id = names.study_id
    JOIN trial_values USING (trial_id)
    WHERE state = 'COMPLETE' AND trial_values.objective = 0
      AND NOT EXISTS (SELECT FROM study_directions AS second
                      WHERE second.study_id = names.study_id AND second.objective = 1)
    WINDOW best_first AS (
        PARTITION BY names.study
        ORDER BY tlsearch.read_value(value, value_type::text)
                 * CASE direction WHEN 'MINIMIZE' THEN 1 ELSE -1 END, trials.number)
    ORDER BY study, rank
) AS ranked
LEFT JOIN tlsearch.hyperparameters AS drawn ON drawn.trial_id = ranked.trial_id
LEFT JOIN LATERAL (
    SELECT max(value_json) FILTER (WHERE key = 'objective') AS objective,
           max(value_json) FILTER (WHERE key = 'val_accuracy') AS val_accuracy
    FROM trial_user_attributes AS attr
    WHERE attr.trial_id = ranked.trial_id AND key IN ('objective', 'val_accuracy')
) AS own ON true
LEFT JOIN LATERAL (
    SELECT max(last_epoch) AS last_epoch,
           date_part('epoch', sum(coalesce(ended_at, last_seen_at) - started_at)) AS seconds
    FROM tlsearch.attempts WHERE attempts.trial_id = ranked.trial_id
) AS held ON true
LEFT JOIN trial_user_attributes AS origin
    ON origin.trial_id = ranked.trial_id AND origin.key = 'origin'
LEFT JOIN tlsearch.expected_accuracies AS likely ON likely.trial_id = ranked.trial_id;
COMMENT ON VIEW tlsearch.best_trials IS
    'Complete trials, ranked in each study; of Optuna''s own studies those with one objective';
COMMENT ON COLUMN tlsearch.best_trials.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.best_trials.rank IS '1 = the best of its study; of equals the earlier';
COMMENT ON COLUMN tlsearch.best_trials.trial IS 'The trial''s number in its study, from 0';
COMMENT ON COLUMN tlsearch.best_trials.val_accuracy IS
    'Top-1 on the validation images after the last epoch, a fraction; of Optuna''s own studies the'
    ' value';
COMMENT ON COLUMN tlsearch.best_trials.objective IS
    'What the study makes best: accuracy, balanced_accuracy, macro_f1, log_loss or'
    ' mean_average_precision';
COMMENT ON COLUMN tlsearch.best_trials.val_objective IS
    'Its figure on the validation images; log loss in nats, where less is better';
COMMENT ON COLUMN tlsearch.best_trials.expected_objective IS
    'What its hyperparameters should reach on new images, in the unit of the objective';
COMMENT ON COLUMN tlsearch.best_trials.expected_objective_sd IS 'Standard deviation of that';
COMMENT ON COLUMN tlsearch.best_trials.expected_accuracy IS
    'What its hyperparameters should reach on new images, by all trials of the study; a fraction;'
    ' NULL where the objective is another';
COMMENT ON COLUMN tlsearch.best_trials.expected_accuracy_sd IS 'Standard deviation of that';
COMMENT ON COLUMN tlsearch.best_trials.reinit_layers IS
    'Top layers started from random weights; 1 = the classifier alone; 0 = none (linear probe first)';
COMMENT ON COLUMN tlsearch.best_trials.high_lr IS 'Peak learning rate above the low layers';
COMMENT ON COLUMN tlsearch.best_trials.low_lr_ratio IS 'Low learning rate as a share of high_lr';
COMMENT ON COLUMN tlsearch.best_trials.low_layers IS 'Lowest layers at the low learning rate';
COMMENT ON COLUMN tlsearch.best_trials.alpha IS 'Decay toward the pretrained weights (L2-SP)';
COMMENT ON COLUMN tlsearch.best_trials.beta IS 'Decay toward zero (L2)';
COMMENT ON COLUMN tlsearch.best_trials.l2sp_layers IS 'Lowest layers under L2-SP instead of L2';
COMMENT ON COLUMN tlsearch.best_trials.origin IS
    'Where it came from: fixed_features, default, prior, draw, from_probe, range_rate, opposite,'
    ' user, or what the sampler drew it from';
COMMENT ON COLUMN tlsearch.best_trials.epochs IS 'Epochs trained';
COMMENT ON COLUMN tlsearch.best_trials.mean_with_fixed_features IS
    'Validation accuracy of the geometric mean of its probabilities and those of fixed features';
COMMENT ON COLUMN tlsearch.best_trials.seconds IS 'Time that workers held it, over all attempts';

CREATE VIEW tlsearch.trials_flat AS
SELECT names.study, trials.number AS trial, lower(trials.state::text) AS state,
       CASE WHEN attrs.objective IS NULL THEN shown.value
            ELSE tlsearch.read_number(attrs.val_accuracy) END AS val_accuracy,
       CASE WHEN attrs.objective IS NULL THEN likely.expected_accuracy END AS expected_accuracy,
       CASE WHEN attrs.objective IS NULL THEN likely.sd END AS expected_accuracy_sd,
       coalesce(tlsearch.read_text(attrs.objective), 'accuracy') AS objective,
       tlsearch.figure_of(tlsearch.read_text(attrs.objective), shown.value) AS val_objective,
       tlsearch.figure_of(tlsearch.read_text(attrs.objective), likely.expected_accuracy)
           AS expected_objective,
       likely.sd AS expected_objective_sd,
       tlsearch.read_number(attrs.val_balanced_accuracy) AS val_balanced_accuracy,
       tlsearch.read_number(attrs.val_macro_f1) AS val_macro_f1,
       tlsearch.read_number(attrs.val_log_loss) AS val_log_loss,
       tlsearch.read_number(attrs.val_mean_average_precision) AS val_mean_average_precision,
       (SELECT max(step) FROM trial_intermediate_values AS curve
        WHERE curve.trial_id = trials.trial_id) AS epochs,
       tlsearch.read_text(attrs.origin) AS origin,
       drawn.reinit_layers, drawn.high_lr, drawn.low_lr_ratio, drawn.low_layers, drawn.alpha,
       drawn.beta, drawn.l2sp_layers,
       tlsearch.read_json(attrs.canonical) AS canonical,
       tlsearch.read_number(attrs.duplicate_of) AS duplicate_of,
       tlsearch.read_number(attrs.mean_with_fixed_features) AS mean_with_fixed_features,
       tlsearch.read_number(attrs.right_alone) AS right_alone,
       tlsearch.read_number(attrs.fixed_features_right_alone) AS fixed_features_right_alone,
       tlsearch.read_number(attrs.seed) AS seed,
       coalesce(tlsearch.read_text(attrs.train_on), 'train') AS train_on,
       coalesce(held.seconds, tlsearch.read_number(attrs.seconds)) AS seconds,
       tlsearch.read_number(attrs.seconds) AS train_seconds,
       coalesce(held.attempts, tlsearch.read_number(attrs.attempt)) AS attempts,
       held.resumed_epochs,
       tlsearch.read_text(attrs.worker) AS worker,
       tlsearch.read_text(attrs.reason_kind) AS reason_kind,
       tlsearch.read_text(attrs.reason) AS reason,
       coalesce(held.started_at, trials.datetime_start AT TIME ZONE 'UTC') AS started_at,
       trials.datetime_complete AT TIME ZONE 'UTC' AS ended_at
FROM tlsearch.study_names AS names JOIN trials USING (study_id)
LEFT JOIN tlsearch.hyperparameters AS drawn ON drawn.trial_id = trials.trial_id
LEFT JOIN LATERAL (
    SELECT max(value_json) FILTER (WHERE key = 'origin') AS origin,
           max(value_json) FILTER (WHERE key = 'objective') AS objective,
           max(value_json) FILTER (WHERE key = 'val_accuracy') AS val_accuracy,
           max(value_json) FILTER (WHERE key = 'val_balanced_accuracy') AS val_balanced_accuracy,
           max(value_json) FILTER (WHERE key = 'val_macro_f1') AS val_macro_f1,
           max(value_json) FILTER (WHERE key = 'val_log_loss') AS val_log_loss,
           max(value_json) FILTER (WHERE key = 'val_mean_average_precision')
               AS val_mean_average_precision,
           max(value_json) FILTER (WHERE key = 'canonical') AS canonical,
           max(value_json) FILTER (WHERE key = 'duplicate_of') AS duplicate_of,
           max(value_json) FILTER (WHERE key = 'mean_with_fixed_features')
               AS mean_with_fixed_features,
           max(value_json) FILTER (WHERE key = 'right_alone') AS right_alone,
           max(value_json) FILTER (WHERE key = 'fixed_features_right_alone')
               AS fixed_features_right_alone,
           max(value_json) FILTER (WHERE key = 'seed') AS seed,
           max(value_json) FILTER (WHERE key = 'train_on') AS train_on,
           max(value_json) FILTER (WHERE key = 'seconds') AS seconds,
           max(value_json) FILTER (WHERE key = 'attempt') AS attempt,
           max(value_json) FILTER (WHERE key = 'worker') AS worker,
           max(value_json) FILTER (WHERE key = 'reason_kind') AS reason_kind,
           max(value_json) FILTER (WHERE key = 'reason') AS reason
    FROM trial_user_attributes AS attr WHERE attr.trial_id = trials.trial_id
) AS attrs ON true
CROSS JOIN LATERAL (
    SELECT coalesce(
        CASE WHEN trials.state = 'COMPLETE' THEN
            (SELECT tlsearch.read_value(value, value_type::text)
             FROM trial_values AS result
             WHERE result.trial_id = trials.trial_id AND result.objective = 0)
        END,
        (SELECT tlsearch.read_value(intermediate_value, intermediate_value_type::text)
         FROM trial_intermediate_values AS curve WHERE curve.trial_id = trials.trial_id
         ORDER BY step DESC LIMIT 1)) AS value
) AS shown
LEFT JOIN LATERAL (
    SELECT max(attempt) AS attempts, min(started_at) AS started_at,
           sum(first_epoch - 1) AS resumed_epochs,
           date_part('epoch', sum(coalesce(ended_at, last_seen_at) - started_at)) AS seconds
    FROM tlsearch.attempts WHERE attempts.trial_id = trials.trial_id
) AS held ON true
LEFT JOIN tlsearch.expected_accuracies AS likely ON likely.trial_id = trials.trial_id;
COMMENT ON VIEW tlsearch.trials_flat IS 'Every trial, whatever its state, in one row';
COMMENT ON COLUMN tlsearch.trials_flat.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.trials_flat.trial IS 'The trial''s number in its study, from 0';
COMMENT ON COLUMN tlsearch.trials_flat.state IS 'waiting, running, complete, pruned or fail';
COMMENT ON COLUMN tlsearch.trials_flat.val_accuracy IS
    'Top-1: of a complete trial its result, else what it reported last; a fraction. Where the'
    ' objective is another, it is known of complete and pruned trials';
COMMENT ON COLUMN tlsearch.trials_flat.objective IS
    'What the study makes best: accuracy, balanced_accuracy, macro_f1, log_loss or'
    ' mean_average_precision';
COMMENT ON COLUMN tlsearch.trials_flat.val_objective IS
    'Its figure: of a complete trial its result, else what it reported last; log loss in nats';
COMMENT ON COLUMN tlsearch.trials_flat.expected_objective IS
    'What its hyperparameters should reach on new images, in the unit of the objective';
COMMENT ON COLUMN tlsearch.trials_flat.expected_objective_sd IS 'Standard deviation of that';
COMMENT ON COLUMN tlsearch.trials_flat.val_balanced_accuracy IS
    'Mean recall of the classes after the last epoch, a fraction; NULL until it ended';
COMMENT ON COLUMN tlsearch.trials_flat.val_macro_f1 IS 'Mean F1 of the classes, likewise';
COMMENT ON COLUMN tlsearch.trials_flat.val_log_loss IS 'Log loss in nats, likewise';
COMMENT ON COLUMN tlsearch.trials_flat.val_mean_average_precision IS
    'Mean of the classes'' average precision, likewise; NULL where an image has one label';
COMMENT ON COLUMN tlsearch.trials_flat.expected_accuracy IS
    'What its hyperparameters should reach on new images, by all trials of the study; a fraction;'
    ' NULL unless complete, and where the objective is another';
COMMENT ON COLUMN tlsearch.trials_flat.expected_accuracy_sd IS 'Standard deviation of that';
COMMENT ON COLUMN tlsearch.trials_flat.epochs IS 'Last epoch it reported';
COMMENT ON COLUMN tlsearch.trials_flat.origin IS
    'Where it came from: fixed_features, default, prior, draw, from_probe, range_rate, opposite,'
    ' user, or what the sampler drew it from';
COMMENT ON COLUMN tlsearch.trials_flat.reinit_layers IS
    'Top layers started from random weights; 1 = the classifier alone; 0 = none (linear probe first)';
COMMENT ON COLUMN tlsearch.trials_flat.high_lr IS 'Peak learning rate above the low layers';
COMMENT ON COLUMN tlsearch.trials_flat.low_lr_ratio IS 'Low learning rate as a share of high_lr';
COMMENT ON COLUMN tlsearch.trials_flat.low_layers IS 'Lowest layers at the low learning rate';
COMMENT ON COLUMN tlsearch.trials_flat.alpha IS 'Decay toward the pretrained weights (L2-SP)';
COMMENT ON COLUMN tlsearch.trials_flat.beta IS 'Decay toward zero (L2)';
COMMENT ON COLUMN tlsearch.trials_flat.l2sp_layers IS 'Lowest layers under L2-SP instead of L2';
COMMENT ON COLUMN tlsearch.trials_flat.canonical IS
    'The simplest hyperparameters that train the same model; equal for trials that are';
COMMENT ON COLUMN tlsearch.trials_flat.duplicate_of IS
    'The earlier trial with the same canonical hyperparameters whose result it took over';
COMMENT ON COLUMN tlsearch.trials_flat.mean_with_fixed_features IS
    'Validation accuracy of the geometric mean of its probabilities and those of fixed features';
COMMENT ON COLUMN tlsearch.trials_flat.right_alone IS
    'Validation images that it gets right and fixed features do not';
COMMENT ON COLUMN tlsearch.trials_flat.fixed_features_right_alone IS
    'Validation images that fixed features get right and it does not';
COMMENT ON COLUMN tlsearch.trials_flat.seed IS
    'Seed of its training where it has one of its own; NULL = that of the recipe';
COMMENT ON COLUMN tlsearch.trials_flat.train_on IS
    'train, or train+val: the validation images are trained on too, so val_accuracy says nothing';
COMMENT ON COLUMN tlsearch.trials_flat.seconds IS 'Time that workers held it, over all attempts';
COMMENT ON COLUMN tlsearch.trials_flat.train_seconds IS
    'Time of training and validation that led to its result; NULL unless complete or pruned';
COMMENT ON COLUMN tlsearch.trials_flat.attempts IS 'How often a worker took it; 0 or NULL = never';
COMMENT ON COLUMN tlsearch.trials_flat.resumed_epochs IS
    'Epochs that attempts took over from a checkpoint rather than train them again';
COMMENT ON COLUMN tlsearch.trials_flat.worker IS 'Host, process and device that had it last';
COMMENT ON COLUMN tlsearch.trials_flat.reason_kind IS
    'Why it failed (nan, out_of_memory, stalled, the type of an exception), or why it is back in the'
    ' queue (preempted, paused, ...): one word';
COMMENT ON COLUMN tlsearch.trials_flat.reason IS 'The same in a sentence';
COMMENT ON COLUMN tlsearch.trials_flat.started_at IS 'When its first attempt began';
COMMENT ON COLUMN tlsearch.trials_flat.ended_at IS 'When it ended; NULL while it has not';

CREATE VIEW tlsearch.learning_curves AS
SELECT names.study, trials.number AS trial, curve.step AS epoch,
       CASE WHEN own.value_json IS NULL
            THEN tlsearch.read_value(intermediate_value, intermediate_value_type::text)
            END AS val_accuracy,
       coalesce(tlsearch.read_text(own.value_json), 'accuracy') AS objective,
       tlsearch.figure_of(
           tlsearch.read_text(own.value_json),
           tlsearch.read_value(intermediate_value, intermediate_value_type::text))
           AS val_objective
FROM tlsearch.study_names AS names JOIN trials USING (study_id)
JOIN trial_intermediate_values AS curve USING (trial_id)
LEFT JOIN trial_user_attributes AS own
    ON own.trial_id = trials.trial_id AND own.key = 'objective';
COMMENT ON VIEW tlsearch.learning_curves IS 'Every epoch that was reported of every trial';
COMMENT ON COLUMN tlsearch.learning_curves.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.learning_curves.trial IS 'The trial''s number in its study, from 0';
COMMENT ON COLUMN tlsearch.learning_curves.epoch IS 'From 1';
COMMENT ON COLUMN tlsearch.learning_curves.val_accuracy IS
    'Top-1 on the validation images after that epoch, a fraction; NULL where the objective is'
    ' another';
COMMENT ON COLUMN tlsearch.learning_curves.objective IS
    'What the study makes best: accuracy, balanced_accuracy, macro_f1, log_loss or'
    ' mean_average_precision';
COMMENT ON COLUMN tlsearch.learning_curves.val_objective IS
    'Its figure after that epoch; log loss in nats';
