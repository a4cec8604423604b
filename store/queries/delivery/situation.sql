-- Where deliveries stand, with their enrollment, contact and workflow, and with an earlier attempt of which somebody said,
-- when the next one was on its way already, that it was sent. Where there is none and `said_sent` is true, that was said
-- of the failed delivery which this one takes up again. The workflows are locked.
SELECT d.delivery_id, d.account_id, d.workflow_id, d.enrollment_id, d.contact_id, d.position, d.state,
       d.attempt, d.expires_at, d.held_segments, d.held_micros,
       a.segments AS "attempt_segments?",
       CASE WHEN d.attempt > 1 THEN
           (SELECT count(*) FROM attempts r WHERE r.delivery_id = d.delivery_id AND r.outcome = 'repeated')
       ELSE 0 END AS "repeats!",
       e.epoch, e.epoch = w.epoch AS "open!", e.exit_cause IS NULL AS "enrolled!", e.position AS enrolled_at_position,
       e.remaining_segments, e.remaining_micros,
       e.step_segments[d.position + 1] AS next_segments, e.step_micros[d.position + 1] AS next_micros,
       c.opted_out_at IS NOT NULL AS "opted_out!", c.time_zone, d.said_sent,
       taken.attempt AS "taken_attempt?", taken.segments AS "taken_segments?",
       taken.carrier_reference AS taken_reference
FROM deliveries d
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
LEFT JOIN attempts a ON a.delivery_id = d.delivery_id AND a.attempt = d.attempt
LEFT JOIN LATERAL (
    SELECT t.attempt, t.segments, e.carrier_reference
    FROM evidence e JOIN attempts t USING (delivery_id, attempt)
    WHERE d.said_sent AND e.delivery_id = d.delivery_id AND e.effect = 'contradicted' AND e.verdict = 'sent'
      AND t.outcome IN ('not_sent', 'refused') AND t.segments > 0
    ORDER BY e.evidence_id
    LIMIT 1
) AS taken ON TRUE
WHERE d.delivery_id = ANY ($1)
