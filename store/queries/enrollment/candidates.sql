-- What each contact of a chunk stands in the way of its enrolment. The contacts are locked.
SELECT c.contact_id, c.account_id, c.time_zone, c.opted_out_at IS NOT NULL AS "opted_out!",
       EXISTS (SELECT FROM enrollments e
               WHERE e.workflow_id = $2 AND e.contact_id = c.contact_id AND e.exit_cause IS NULL)
           AS "enrolled!",
       (SELECT w.name FROM enrollments e JOIN workflows w USING (workflow_id)
        WHERE $3::BOOLEAN AND e.contact_id = c.contact_id AND e.exit_cause IS NULL AND e.workflow_id <> $2
        LIMIT 1) AS other_workflow
FROM contacts c
WHERE c.contact_id = ANY ($1)
