-- What models reached on the test images.

CREATE VIEW tlsearch.tests AS
SELECT names.study, kept.look, kept.at, result ->> 'answer' AS answer,
       figure ->> 'finalist' AS finalist, figure ->> 'prediction' AS prediction,
       CASE WHEN several.is_so THEN several.accuracy
            ELSE tlsearch.read_number(figure ->> 'mean') END AS test_accuracy,
       CASE WHEN several.is_so THEN tlsearch.read_number(figure ->> 'mean')
            END AS mean_average_precision,
       tlsearch.read_number(figure ->> 'sd') AS sd,
       tlsearch.read_number(figure ->> 'low') AS low,
       tlsearch.read_number(figure ->> 'high') AS high,
       CASE jsonb_typeof(figure -> 'accuracies')
           WHEN 'array' THEN jsonb_array_length(figure -> 'accuracies') END AS models,
       tlsearch.read_number(figure ->> 'balanced_accuracy') AS balanced_accuracy,
       tlsearch.read_number(figure ->> 'macro_f1') AS macro_f1,
       tlsearch.read_number(figure ->> 'log_loss') AS log_loss,
       tlsearch.read_number(figure ->> 'ece') AS ece,
       tlsearch.read_number(figure ->> 'ece_scaled') AS ece_scaled,
       tlsearch.read_number(figure ->> 'temperature') AS temperature,
       tlsearch.read_number(figure ->> 'passes') AS passes,
       tlsearch.read_number(figure ->> 'seconds_per_image') AS seconds_per_image,
       tlsearch.read_number(result ->> 'n_test') AS n_test,
       result ->> 'trained_on' AS trained_on
FROM tlsearch.test_results AS kept JOIN tlsearch.study_names AS names USING (study_id)
CROSS JOIN LATERAL jsonb_array_elements(
    CASE jsonb_typeof(result -> 'figures') WHEN 'array' THEN result -> 'figures' END) AS figure
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_typeof(figure -> 'average_precisions') = 'array'
                    AND figure -> 'average_precisions' <> '[]', false) AS is_so,
           (SELECT avg(tlsearch.read_number(each)) FROM jsonb_array_elements_text(
               CASE jsonb_typeof(figure -> 'accuracies') WHEN 'array' THEN figure -> 'accuracies'
               END) AS each) AS accuracy) AS several;
COMMENT ON VIEW tlsearch.tests IS
    'What finalists reach on the test images, predicted in several ways; each look, each figure';
COMMENT ON COLUMN tlsearch.tests.study IS 'The study''s name';
COMMENT ON COLUMN tlsearch.tests.look IS
    '1: nobody had seen a test figure before; a later look is no longer an honest figure';
COMMENT ON COLUMN tlsearch.tests.at IS 'When';
COMMENT ON COLUMN tlsearch.tests.answer IS 'The finalist that was recommended before the test';
COMMENT ON COLUMN tlsearch.tests.finalist IS
    'Its name; mean: the geometric mean of fixed features and the winner';
COMMENT ON COLUMN tlsearch.tests.prediction IS
    'single crop, 10-crop, ensemble, ensemble, 10-crop, uniform soup or greedy soup';
COMMENT ON COLUMN tlsearch.tests.test_accuracy IS
    'Mean of the models, a fraction; of several labels an image all of them have to be right';
COMMENT ON COLUMN tlsearch.tests.mean_average_precision IS
    'Where images have several labels: mean of the models, a fraction; sd, low and high are its';
COMMENT ON COLUMN tlsearch.tests.sd IS 'Standard deviation of the models; NULL of one figure';
COMMENT ON COLUMN tlsearch.tests.low IS 'Lower end of the 95 % interval over seeds and images';
COMMENT ON COLUMN tlsearch.tests.high IS 'Upper end of it';
COMMENT ON COLUMN tlsearch.tests.models IS 'Figures that the mean is of: 1 of an ensemble or a soup';
COMMENT ON COLUMN tlsearch.tests.balanced_accuracy IS 'Mean recall of the classes, a fraction';
COMMENT ON COLUMN tlsearch.tests.macro_f1 IS 'Mean F1 of the classes';
COMMENT ON COLUMN tlsearch.tests.log_loss IS 'In nats';
COMMENT ON COLUMN tlsearch.tests.ece IS 'Expected calibration error, a fraction';
COMMENT ON COLUMN tlsearch.tests.ece_scaled IS
    'The same after temperature scaling on the validation images';
COMMENT ON COLUMN tlsearch.tests.temperature IS 'Of that scaling; above 1: the model is too certain';
COMMENT ON COLUMN tlsearch.tests.passes IS 'Forward passes an image';
COMMENT ON COLUMN tlsearch.tests.seconds_per_image IS 'Measured where the test ran';
COMMENT ON COLUMN tlsearch.tests.n_test IS 'Test images';
COMMENT ON COLUMN tlsearch.tests.trained_on IS 'train or train+val';
