-- Gives queued deliveries a later due time and a new ticket. Compare and set: one that is not where it
-- was read any more stays as it is and is left out. What would expire meanwhile wakes up when it does,
-- at the first whole second that is not before, and is released then.
WITH due AS (
    SELECT d.delivery_id, q.ticket_id, q.reason_code, q.reason_text,
           least(q.until, date_trunc('second', d.expires_at + INTERVAL '999999 microseconds')) AS due_at
    FROM deliveries d
    JOIN unnest($1::BIGINT[], $2::INTEGER[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[], $5::TEXT[],
                $6::TEXT[], $7::TEXT[])
         AS q (delivery_id, attempt, due_at, until, ticket_id, reason_code, reason_text) USING (delivery_id)
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
