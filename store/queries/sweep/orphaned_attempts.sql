-- Attempts of a gone worker that nobody will end: they and their deliveries become unknown. What is known
-- about them is only that they may have left. Enough is locked for a late settlement to wait or come first.
-- What it had in flight is read first: see `overdue_unknown.sql`.
WITH in_flight AS MATERIALIZED (
    SELECT delivery_id, attempt FROM attempts WHERE outcome IS NULL AND worker_id = $1
),
orphans AS (
    SELECT d.delivery_id, d.attempt
    FROM in_flight JOIN deliveries d USING (delivery_id, attempt)
    WHERE d.state = 'sending'
    ORDER BY d.delivery_id
    LIMIT $4
    FOR NO KEY UPDATE OF d
),
unknown AS (
    UPDATE deliveries d
    SET state = 'unknown', reason_code = 'worker_gone', reason_text = $3::TEXT
    FROM orphans o
    WHERE d.delivery_id = o.delivery_id AND d.attempt = o.attempt AND d.state = 'sending'
    RETURNING d.delivery_id, d.attempt
),
ended AS (
    UPDATE attempts a
    SET outcome = 'unknown', finished_at = $2::TIMESTAMPTZ, reason_code = 'worker_gone', reason_text = $3::TEXT
    FROM unknown u
    WHERE a.delivery_id = u.delivery_id AND a.attempt = u.attempt
)
SELECT count(*) AS "orphans!" FROM unknown
