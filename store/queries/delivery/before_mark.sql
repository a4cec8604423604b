-- Where deliveries stand before their mark. Workflows and contacts are locked. A route is locked by nobody: whoever
-- pauses one waits for the gates of the workflows that use it, which are held here.
SELECT d.delivery_id AS "delivery_id!", d.account_id AS "account_id!", d.workflow_id AS "workflow_id!",
       d.state AS "state!", d.attempt AS "attempt!", d.due_at AS "due_at!", d.expires_at,
       d.held_segments AS "held_segments!", d.held_micros AS "held_micros!",
       w.surplus_policy AS "surplus_policy!", e.epoch AS "epoch!",
       e.epoch = w.epoch AND e.exit_cause IS NULL AS "open!",
       c.opted_out_at IS NOT NULL AS "opted_out!", r.paused_at IS NOT NULL AS "route_paused!"
FROM deliveries d
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
LEFT JOIN steps s ON s.workflow_id = d.workflow_id AND s.position = d.position
LEFT JOIN routes r ON r.route_id = s.route_id
WHERE d.delivery_id = ANY ($1)
