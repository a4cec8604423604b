-- A page of the contacts of an account ($1) that are chosen for a workflow ($2): all of them, or those
-- of some numbers ($3), or those whom an operation took out ($4), or those of some enrollments ($5). They
-- must meet the conditions $6 to $12. The page begins behind contact $13.
SELECT c.contact_id, c.phone,
       c.fields AS "fields: Json<Fields>",
       c.opted_out_at IS NOT NULL AS "opted_out!",
       EXISTS (
           SELECT 1 FROM enrollments e
           WHERE e.contact_id = c.contact_id AND e.workflow_id = $2 AND e.exit_cause IS NULL
       ) AS "enrolled!",
       -- As the index `one_live_workflow_per_contact` sees it: both must have been made while the
       -- account allowed only one.
       (SELECT w.name FROM enrollments e JOIN workflows w ON w.workflow_id = e.workflow_id
        WHERE e.contact_id = c.contact_id AND e.workflow_id <> $2 AND e.exit_cause IS NULL
          AND e.exclusive AND a.one_live_workflow_per_contact
        LIMIT 1) AS other_workflow
FROM contacts c
JOIN accounts a USING (account_id)
WHERE c.account_id = $1
  AND ($3::TEXT[] IS NULL OR c.phone = ANY ($3))
  AND ($4::BIGINT IS NULL OR c.contact_id IN (
      SELECT e.contact_id
      FROM operations o
      JOIN enrollments e ON e.workflow_id = o.workflow_id AND e.operation_id = o.operation_id
      WHERE o.operation_id = $4))
  AND ($5::BIGINT[] IS NULL OR c.contact_id IN (
      SELECT e.contact_id FROM enrollments e WHERE e.enrollment_id = ANY ($5)))
  AND c.fields @> ALL ($6::JSONB[]) AND NOT c.fields @> ANY ($7::JSONB[])
  AND NOT c.fields ?| $8::TEXT[] AND c.fields ?& $9::TEXT[]
  AND c.time_zone = ALL ($10::TEXT[]) AND c.time_zone <> ALL ($11::TEXT[])
  AND c.phone LIKE ALL ($12::TEXT[])
  AND ($13::BIGINT IS NULL OR c.contact_id > $13)
ORDER BY c.contact_id
LIMIT $14
