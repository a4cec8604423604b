-- A page of the failed deliveries of an account ($1), latest first, of which it is asked whether they can
-- be requeued, and what stands in the way of each. Every filter that is null lets all pass.
WITH page AS (
    SELECT d.*
    FROM deliveries d
    WHERE d.account_id = $1 AND d.state = 'failed'
      -- What the index of deliveries that ended for a reason asks for. Every failure has one.
      AND d.settled_at IS NOT NULL AND d.reason_code IS NOT NULL
      AND ($2::BIGINT IS NULL OR d.workflow_id = $2)
      AND ($3::TEXT IS NULL OR d.reason_code = $3)
      AND ($4::TIMESTAMPTZ IS NULL OR d.settled_at >= $4)
      AND ($5::BIGINT[] IS NULL OR d.delivery_id = ANY ($5))
      AND ($6::BIGINT IS NULL OR d.delivery_id < $6)
    ORDER BY d.delivery_id DESC
    LIMIT $7
)
SELECT d.delivery_id, d.workflow_id, w.name AS workflow, w.deleted_at IS NOT NULL AS "deleted!",
       e.revision IS NOT DISTINCT FROM w.revision AS "unedited!",
       d.contact_id, c.phone, c.fields AS "fields: Json<Fields>", c.opted_out_at IS NOT NULL AS "opted_out!",
       d.position, d.settled_at AS "failed_at!", d.reason_code AS "reason_code!", d.reason_text,
       EXISTS (SELECT FROM enrollments r WHERE r.requeued_delivery_id = d.delivery_id) AS "requeued!",
       d.said_sent,
       EXISTS (SELECT FROM enrollments l
               WHERE l.contact_id = d.contact_id AND l.workflow_id = d.workflow_id
                 AND l.exit_cause IS NULL) AS "enrolled!",
       (SELECT o.name FROM enrollments l JOIN workflows o ON o.workflow_id = l.workflow_id
        WHERE l.contact_id = d.contact_id AND l.workflow_id <> d.workflow_id AND l.exit_cause IS NULL
          AND l.exclusive AND a.one_live_workflow_per_contact
        LIMIT 1) AS other_workflow
FROM page d
JOIN enrollments e ON e.enrollment_id = d.enrollment_id
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
JOIN accounts a ON a.account_id = d.account_id
ORDER BY d.delivery_id DESC
