-- 6. Where a pause or a deletion says that it has finished, nobody of the closed epoch is left and
-- nothing of it is queued; where a removal says so, none of its members is. $1: how many to show.
WITH closed AS (
    SELECT workflow_id, max(closed_epoch) AS epoch
    FROM operations WHERE finished_at IS NOT NULL AND closed_epoch IS NOT NULL
    GROUP BY workflow_id
),
problems AS (
    SELECT 'enrollment ' || e.enrollment_id AS subject,
           format('is live in workflow %s, whose epoch %s was closed', e.workflow_id, e.epoch) AS problem
    FROM enrollments e JOIN closed c USING (workflow_id)
    WHERE e.exit_cause IS NULL AND e.epoch <= c.epoch
    UNION ALL
    SELECT 'delivery ' || d.delivery_id,
           format('is queued in workflow %s, whose epoch %s was closed', d.workflow_id, e.epoch)
    FROM deliveries d
    JOIN closed c USING (workflow_id)
    JOIN enrollments e ON e.enrollment_id = d.enrollment_id
    WHERE d.settled_at IS NULL AND d.state = 'queued' AND e.epoch <= c.epoch
    UNION ALL
    SELECT 'enrollment ' || e.enrollment_id, format('is live, and operation %s removed it', o.operation_id)
    FROM operations o
    JOIN operation_members m USING (operation_id)
    JOIN enrollments e USING (enrollment_id)
    WHERE o.finished_at IS NOT NULL AND e.exit_cause IS NULL
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
