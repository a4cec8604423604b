-- The workflows of an account in their order ($1), or the one of an id ($2) or of a name ($3).
SELECT w.workflow_id, w.account_id, w.name, p.position, w.surplus_policy, w.epoch, w.revision,
       w.created_at, w.updated_at,
       (SELECT count(*) FROM steps s WHERE s.workflow_id = w.workflow_id) AS "steps!",
       live.contacts AS "contacts!",
       live.since,
       -- A removal or an enrolment under way does not keep others from being enrolled.
       (SELECT max(o.operation_id) FROM operations o
        WHERE o.workflow_id = w.workflow_id AND o.finished_at IS NULL
          AND o.closed_epoch IS NOT NULL) AS purged_by
FROM workflow_positions p
JOIN workflows w USING (workflow_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS contacts, min(e.enrolled_at) AS since
    FROM enrollments e
    WHERE e.workflow_id = w.workflow_id AND e.exit_cause IS NULL
) live
WHERE w.deleted_at IS NULL
  AND ($1::BIGINT IS NULL OR w.account_id = $1)
  AND ($2::BIGINT IS NULL OR w.workflow_id = $2)
  AND ($3::TEXT IS NULL OR w.name = $3)
ORDER BY p.account_id, p.position
