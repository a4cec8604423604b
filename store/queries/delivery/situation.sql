-- Where deliveries stand, with their enrollment, contact and workflow. The workflows are locked.
SELECT d.delivery_id, d.account_id, d.workflow_id, d.enrollment_id, d.contact_id, d.position, d.state,
       d.attempt, d.expires_at, d.held_segments, d.held_micros,
       a.segments AS "attempt_segments?",
       CASE WHEN d.attempt > 1 THEN
           (SELECT count(*) FROM attempts r WHERE r.delivery_id = d.delivery_id AND r.outcome = 'repeated')
       ELSE 0 END AS "repeats!",
       e.epoch, e.epoch = w.epoch AS "open!", e.exit_cause IS NULL AS "enrolled!", e.position AS enrolled_at_position,
       e.remaining_segments, e.remaining_micros,
       e.step_segments[d.position + 1] AS next_segments, e.step_micros[d.position + 1] AS next_micros,
       c.opted_out_at IS NOT NULL AS "opted_out!", c.time_zone
FROM deliveries d
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
LEFT JOIN attempts a ON a.delivery_id = d.delivery_id AND a.attempt = d.attempt
WHERE d.delivery_id = ANY ($1)
