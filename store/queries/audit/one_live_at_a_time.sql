-- 5. One live enrollment per contact and workflow, and per contact where the account allows only one;
-- one live delivery per live enrollment, and none queued for one that has ended. $1: how many to show.
WITH live AS MATERIALIZED (
    SELECT e.enrollment_id, e.workflow_id, e.contact_id, e.exclusive,
           -- Behind a pause's fence a sent message has no successor; its purge ends the enrollment.
           e.epoch = w.epoch AS open
    FROM enrollments e JOIN workflows w USING (workflow_id)
    WHERE e.exit_cause IS NULL
),
waiting AS (
    SELECT enrollment_id, count(*) AS deliveries, count(*) FILTER (WHERE state = 'queued') AS queued
    FROM deliveries WHERE settled_at IS NULL GROUP BY enrollment_id
),
problems AS (
    SELECT format('contact %s', contact_id) AS subject,
           format('%s live enrollments in workflow %s', count(*), workflow_id) AS problem
    FROM live GROUP BY contact_id, workflow_id HAVING count(*) > 1
    UNION ALL
    SELECT format('contact %s', contact_id),
           format('%s live workflows where one is allowed', count(DISTINCT workflow_id))
    FROM live WHERE exclusive GROUP BY contact_id HAVING count(DISTINCT workflow_id) > 1
    UNION ALL
    SELECT 'enrollment ' || coalesce(l.enrollment_id, w.enrollment_id),
           CASE WHEN l.enrollment_id IS NULL THEN format('has ended and has %s queued deliveries', w.queued)
                ELSE format('is live and has %s live deliveries', coalesce(w.deliveries, 0)) END
    FROM live l
    FULL JOIN waiting w USING (enrollment_id)
    WHERE w.deliveries > 1
       OR w.enrollment_id IS NULL AND l.open
       OR l.enrollment_id IS NULL AND w.queued > 0
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
