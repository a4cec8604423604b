-- What taking chosen contacts out of a workflow ($2) of an account ($1) would give back, one live
-- enrollment a row: of all of them, or of some numbers ($3), or of those whom an operation took out
-- before ($4), or of some enrollments ($5). The contacts must meet the conditions $6 to $12, the
-- enrollments $13 to $16.
SELECT e.enrollment_id, e.contact_id, c.phone, e.position, cardinality(e.step_segments) AS "steps!",
       (cardinality(e.step_segments) - e.position + count(d.*))::BIGINT AS "messages!",
       (e.remaining_segments + coalesce(sum(d.held_segments), 0))::BIGINT AS "segments!",
       (e.remaining_micros + coalesce(sum(d.held_micros), 0))::BIGINT AS "micros!"
FROM enrollments e
JOIN contacts c USING (contact_id)
LEFT JOIN deliveries d ON d.enrollment_id = e.enrollment_id AND d.settled_at IS NULL AND d.state = 'queued'
WHERE e.account_id = $1 AND e.workflow_id = $2 AND e.exit_cause IS NULL
  AND ($3::TEXT[] IS NULL OR c.phone = ANY ($3))
  AND ($4::BIGINT IS NULL OR e.contact_id IN (
      SELECT t.contact_id
      FROM operations o
      JOIN enrollments t ON t.workflow_id = o.workflow_id AND t.operation_id = o.operation_id
      WHERE o.operation_id = $4))
  AND ($5::BIGINT[] IS NULL OR e.enrollment_id = ANY ($5))
  AND c.fields @> ALL ($6::JSONB[]) AND NOT c.fields @> ANY ($7::JSONB[])
  AND NOT c.fields ?| $8::TEXT[] AND c.fields ?& $9::TEXT[]
  AND c.time_zone = ALL ($10::TEXT[]) AND c.time_zone <> ALL ($11::TEXT[])
  AND c.phone LIKE ALL ($12::TEXT[])
  AND ($13::INTEGER IS NULL OR e.position >= $13) AND ($14::INTEGER IS NULL OR e.position <= $14)
  AND ($15::TIMESTAMPTZ IS NULL OR e.enrolled_at >= $15)
  AND ($16::TIMESTAMPTZ IS NULL OR e.enrolled_at < $16)
GROUP BY e.enrollment_id, c.contact_id
ORDER BY e.contact_id
