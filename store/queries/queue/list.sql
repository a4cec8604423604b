-- A page of what is not settled of an account ($1), in the order in which it is due, with the ticket
-- of each. The page begins behind the delivery of due time $4 and id $5.
SELECT d.delivery_id, d.workflow_id, w.name AS workflow, d.contact_id, c.phone, d.position, d.state,
       d.attempt, d.due_at,
       j.id AS "id?", j.status AS "status?", j.run_at AS "run_at?", j.lock_by, j.lock_at
FROM deliveries d
JOIN workflows w USING (workflow_id)
JOIN contacts c USING (contact_id)
LEFT JOIN apalis.jobs j ON j.id = d.ticket_id
WHERE d.account_id = $1
  AND d.settled_at IS NULL
  AND ($2::BIGINT IS NULL OR d.workflow_id = $2)
  AND ($3::TEXT IS NULL OR d.state = $3)
  AND ($4::TIMESTAMPTZ IS NULL OR (d.due_at, d.delivery_id) > ($4, $5::BIGINT))
ORDER BY d.due_at, d.delivery_id
LIMIT $6
