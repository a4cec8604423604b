-- What is unknown of an account ($1), with all that a decision about it would depend on: one delivery
-- ($2), or those of a workflow ($3) of which nobody has known since $4. One delivery that waits to be sent again, too,
-- if it is to be taken for sent ($5). What is in doubt is read first: see `sweep/overdue_unknown.sql`.
WITH undecided AS MATERIALIZED (
    SELECT delivery_id, attempt, segments, reason_code, reason_text, finished_at
    FROM attempts
    WHERE outcome = 'unknown'
      AND ($2::BIGINT IS NULL OR delivery_id = $2) AND ($3::BIGINT IS NULL OR workflow_id = $3)
    UNION ALL
    (SELECT delivery_id, a.attempt, segments, a.reason_code, a.reason_text, finished_at
     FROM deliveries q JOIN attempts a USING (delivery_id)
     WHERE $5::BOOLEAN AND q.delivery_id = $2 AND q.state = 'queued' AND a.segments > 0
     ORDER BY a.attempt DESC
     LIMIT 1)
)
SELECT d.delivery_id, d.workflow_id, w.name AS workflow, d.contact_id, c.phone, d.position,
       u.attempt AS "attempt!",
       d.expires_at, d.held_segments, d.held_micros, u.segments AS "segments!", u.reason_code, u.reason_text,
       coalesce((SELECT min(r.finished_at) FROM attempts r
                 WHERE r.delivery_id = d.delivery_id AND r.outcome = 'repeated'), u.finished_at) AS "since!",
       e.exit_cause IS NULL AND e.epoch = w.epoch AND e.position = d.position AS "live!",
       c.opted_out_at IS NOT NULL AS "opted_out!",
       cardinality(e.step_segments) AS "steps!",
       e.remaining_segments, e.remaining_micros,
       (SELECT count(*) FROM attempts r
        WHERE r.delivery_id = d.delivery_id AND r.outcome = 'repeated') AS "repeats!",
       (SELECT min(k.key_expires_at) FROM attempt_references k
        WHERE k.delivery_id = d.delivery_id) AS key_expires_at,
       d.said_sent,
       -- Of the attempt that situation.sql calls taken.
       (SELECT t.segments FROM evidence s JOIN attempts t USING (delivery_id, attempt)
        WHERE d.said_sent AND s.delivery_id = d.delivery_id AND s.effect = 'contradicted' AND s.verdict = 'sent'
          AND t.outcome IN ('not_sent', 'refused') AND t.segments > 0
        ORDER BY s.evidence_id
        LIMIT 1) AS taken_segments
FROM undecided u
JOIN deliveries d ON d.delivery_id = u.delivery_id AND (d.attempt = u.attempt OR d.state = 'queued')
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
WHERE (d.state = 'unknown' OR $5 AND d.state = 'queued') AND d.account_id = $1
  AND ($4::TIMESTAMPTZ IS NULL
       OR coalesce((SELECT min(r.finished_at) FROM attempts r
                    WHERE r.delivery_id = d.delivery_id AND r.outcome = 'repeated'), u.finished_at) <= $4)
ORDER BY d.delivery_id
