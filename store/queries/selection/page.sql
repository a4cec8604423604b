-- A page of the contacts of an account ($1) that are chosen for a workflow ($2): all of them, or those
-- of some numbers ($3), or those whom an operation took out ($4), or those of some enrollments ($5). They
-- must meet the conditions $6 to $12. The page begins behind contact $13. Where a contact is live is one
-- walk down the index of its enrollments, for each contact of the page; `coalesce` and `+ 0` keep the
-- planner, as long as it knows nothing about the table, from walks through everybody who is in a workflow.
WITH page AS MATERIALIZED (
    SELECT c.contact_id, c.phone, c.fields, c.opted_out_at
    FROM contacts c
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
)
SELECT p.contact_id, p.phone,
       p.fields AS "fields: Json<Fields>",
       p.opted_out_at IS NOT NULL AS "opted_out!",
       live.here AS "enrolled!",
       w.name AS "other_workflow?"
FROM page p
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(e.workflow_id + 0 = $2), false) AS here,
           -- As the index `one_live_workflow_per_contact` sees it: both must have been made while the
           -- account allowed only one.
           min(e.workflow_id) FILTER (WHERE e.workflow_id + 0 <> $2 AND e.exclusive) AS elsewhere
    FROM enrollments e
    WHERE e.contact_id = p.contact_id AND coalesce(e.exit_cause, '') = '') live
LEFT JOIN workflows w
    ON w.workflow_id = live.elsewhere
   AND (SELECT a.one_live_workflow_per_contact FROM accounts a WHERE a.account_id = $1)
ORDER BY p.contact_id
