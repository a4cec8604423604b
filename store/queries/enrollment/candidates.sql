-- What each contact of a chunk has in the way of its enrolment. The contacts are locked. Each subquery
-- is one walk down the index of the contact's enrollments; `coalesce` keeps the planner, as long as it
-- knows nothing about the table, from one through everybody who is in the workflow.
SELECT c.contact_id, c.account_id, c.time_zone, c.opted_out_at IS NOT NULL AS "opted_out!",
       (SELECT e.enrollment_id FROM enrollments e
        WHERE e.contact_id = c.contact_id AND e.workflow_id = $2 AND coalesce(e.exit_cause, '') = ''
        LIMIT 1) AS enrolled,
       (SELECT w.name FROM enrollments e JOIN workflows w USING (workflow_id)
        WHERE $3::BOOLEAN AND e.contact_id = c.contact_id AND e.workflow_id <> $2
          AND coalesce(e.exit_cause, '') = ''
        LIMIT 1) AS other_workflow
FROM contacts c
WHERE c.contact_id = ANY ($1)
