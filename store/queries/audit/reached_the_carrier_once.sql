-- 8. At most one attempt per delivery may have reached the carrier, and none of a delivery whose money
-- was given back. Where the carrier keeps a key, several may: if all of them were the same request under
-- the same key, within the time that the carrier keeps it. $1: how many to show.
WITH problems AS (
    SELECT 'delivery ' || a.delivery_id AS subject,
           format('%s attempts may have reached the carrier, %s of them with a key', count(*),
                  count(r.key_expires_at)) AS problem
    FROM attempts a
    LEFT JOIN attempt_references r USING (delivery_id, attempt)
    WHERE (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown', 'presumed_sent', 'repeated'))
      AND a.delivery_id IN (SELECT more.delivery_id FROM attempts more WHERE more.attempt > 1)
    GROUP BY a.delivery_id
    HAVING count(*) > 1
       AND NOT (count(r.key_expires_at) = count(*)
                AND count(DISTINCT (r.reference, r.request_digest, r.route_id, r.carrier)) = 1
                AND max(a.started_at) < min(r.key_expires_at))
    UNION ALL
    SELECT 'delivery ' || d.delivery_id,
           format('is %s, and attempt %s %s', d.state, a.attempt, coalesce(a.outcome, 'has no outcome'))
    FROM deliveries d
    JOIN attempts a USING (delivery_id)
    WHERE d.state IN ('failed', 'cancelled', 'expired') AND d.attempt > 0
      AND (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown', 'presumed_sent', 'repeated'))
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
