-- Where deliveries stand before their mark. Workflows and contacts are locked.
SELECT d.delivery_id, d.account_id, d.workflow_id, d.state, d.attempt, d.due_at, d.expires_at,
       d.held_segments, d.held_micros, w.surplus_policy,
       e.epoch, e.epoch = w.epoch AND e.exit_cause IS NULL AS "open!",
       c.opted_out_at IS NOT NULL AS "opted_out!"
FROM deliveries d
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
WHERE d.delivery_id = ANY ($1)
