-- 8. At most one attempt per delivery may have reached the carrier, and none of a delivery whose money
-- was given back. $1: how many to show.
WITH problems AS (
    SELECT 'delivery ' || a.delivery_id AS subject,
           format('%s attempts may have reached the carrier', count(*)) AS problem
    FROM attempts a
    WHERE (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown'))
      AND a.delivery_id IN (SELECT more.delivery_id FROM attempts more WHERE more.attempt > 1)
    GROUP BY a.delivery_id
    HAVING count(*) > 1
    UNION ALL
    SELECT 'delivery ' || d.delivery_id,
           format('is %s, and attempt %s %s', d.state, a.attempt, coalesce(a.outcome, 'has no outcome'))
    FROM deliveries d
    JOIN attempts a USING (delivery_id)
    WHERE d.state IN ('failed', 'cancelled', 'expired') AND d.attempt > 0
      AND (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown'))
)
SELECT subject AS "subject!", problem AS "problem!", count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
