-- Gives queued deliveries a later due time and a new ticket. Compare and set: one that is not where it
-- was read any more stays as it is and is left out. What would expire meanwhile wakes up when it does,
-- at the first whole second that is not before, and is released then.
-- $8 to $13: their routes, and those routes' failovers, as they were read. Their gates are held. One whose routes do not
-- stand so any more is due at once, with the reason that it had; a second later than it was, since a batch that is
-- repeated must find that it has been postponed.
WITH due AS (
    SELECT d.delivery_id, q.ticket_id,
           CASE WHEN stand THEN q.reason_code ELSE d.reason_code END AS reason_code,
           CASE WHEN stand THEN q.reason_text ELSE d.reason_text END AS reason_text,
           least(CASE WHEN stand THEN q.until ELSE d.due_at + INTERVAL '1 second' END,
                 date_trunc('second', d.expires_at + INTERVAL '999999 microseconds')) AS due_at
    FROM deliveries d
    JOIN unnest($1::BIGINT[], $2::INTEGER[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[], $5::TEXT[],
                $6::TEXT[], $7::TEXT[], $8::BIGINT[], $9::BIGINT[], $10::BOOLEAN[],
                $11::BIGINT[], $12::BIGINT[], $13::BOOLEAN[])
         AS q (delivery_id, attempt, due_at, until, ticket_id, reason_code, reason_text,
               route_id, revision, is_paused, failover_id, failover_revision, failover_is_paused)
         USING (delivery_id)
    JOIN routes r ON r.route_id = q.route_id
    LEFT JOIN routes f ON f.route_id = q.failover_id
    CROSS JOIN LATERAL (
        SELECT (r.revision, r.paused_at IS NOT NULL) = (q.revision, q.is_paused)
               AND (q.failover_id IS NULL
                    OR (f.revision, f.paused_at IS NOT NULL)
                       = (q.failover_revision, q.failover_is_paused)) AS stand
    ) routes
    WHERE d.state = 'queued' AND d.attempt = q.attempt AND d.due_at = q.due_at
    ORDER BY d.delivery_id
    FOR NO KEY UPDATE OF d
)
UPDATE deliveries d
SET due_at = due.due_at, ticket_id = due.ticket_id, reason_code = due.reason_code,
    reason_text = due.reason_text
FROM due
WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.due_at, d.ticket_id AS "ticket_id!"
