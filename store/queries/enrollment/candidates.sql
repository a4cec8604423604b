-- What each contact of a chunk has in the way of its enrolment. The contacts are locked. Where a contact is
-- live is one walk down the index of its enrollments, for each contact. The planner, as long as it knows
-- nothing about the table, prefers a walk through everybody who is in the workflow, again for each contact:
-- `coalesce` and `+ 0` leave it only that one index.
SELECT c.contact_id, c.account_id, c.time_zone, c.opted_out_at IS NOT NULL AS "opted_out!",
       live.here AS "enrolled!", w.name AS "other_workflow?"
FROM contacts c
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(e.workflow_id + 0 = $2), false) AS here,
           min(e.workflow_id) FILTER (WHERE e.workflow_id + 0 <> $2) AS elsewhere
    FROM enrollments e
    WHERE e.contact_id = c.contact_id AND coalesce(e.exit_cause, '') = '') live
LEFT JOIN workflows w ON $3::BOOLEAN AND w.workflow_id = live.elsewhere
WHERE c.contact_id = ANY ($1)
