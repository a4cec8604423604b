-- Queued deliveries of one stretch of due times, and whether their ticket will wake them.
SELECT d.delivery_id, d.due_at, d.ticket_id AS "ticket_id!",
       EXISTS (SELECT FROM apalis.jobs j
               WHERE j.id = d.ticket_id AND j.status IN ('Pending', 'Queued', 'Running')) AS "ticketed!"
FROM deliveries d
WHERE d.settled_at IS NULL AND d.state = 'queued' AND d.due_at <= $1 AND (d.due_at, d.delivery_id) > ($2, $3)
ORDER BY d.due_at, d.delivery_id
LIMIT $4
