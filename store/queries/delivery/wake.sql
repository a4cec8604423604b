-- Makes queued deliveries due that wait for a route ($1) or one of its senders, or could go over it: a chunk of them ($4), those behind $3,
-- with their tickets. $2: now; $5: the reason codes by which they wait. Gives the last of the chunk, null when there was
-- none. A ticket that somebody holds just now is handled by them.
WITH waiting AS (
    SELECT d.delivery_id, d.ticket_id
    FROM deliveries d JOIN step_routes s ON s.workflow_id = d.workflow_id AND s.position = d.position
    WHERE s.route_id = $1 AND d.settled_at IS NULL AND d.state = 'queued' AND d.reason_code = ANY ($5)
      AND d.due_at > $2 AND d.delivery_id > $3
    ORDER BY d.delivery_id
    LIMIT $4
    FOR NO KEY UPDATE OF d
),
woken AS (
    UPDATE apalis.jobs j SET run_at = $2
    FROM waiting w
    WHERE j.id = w.ticket_id AND j.status = 'Pending'
    RETURNING j.id
),
due AS (
    UPDATE deliveries d SET due_at = $2
    FROM waiting w JOIN woken ON woken.id = w.ticket_id
    WHERE d.delivery_id = w.delivery_id
)
SELECT max(delivery_id) FROM waiting
