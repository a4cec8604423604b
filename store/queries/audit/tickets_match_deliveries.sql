-- 9. Every queued delivery that is due for 2 minutes has a live ticket, and no ticket outlives its
-- delivery by more. $1: how many to show; $2: now.
WITH waiting AS MATERIALIZED (
    SELECT delivery_id, ticket_id, due_at
    FROM deliveries WHERE settled_at IS NULL AND state = 'queued'
),
tickets AS MATERIALIZED (
    SELECT id, status, job, greatest(run_at, lock_at) AS touched_at
    FROM apalis.jobs WHERE job_type = 'dripline.deliver'
),
problems AS (
    SELECT 'delivery ' || w.delivery_id AS subject,
           format('is due since %s and its ticket is %s', w.due_at, coalesce(t.status, 'missing'))
               AS problem
    FROM waiting w
    LEFT JOIN tickets t ON t.id = w.ticket_id
    WHERE w.due_at < $2::TIMESTAMPTZ - INTERVAL '2 minutes'
      AND (t.id IS NULL OR t.status NOT IN ('Pending', 'Queued', 'Running'))
    UNION ALL
    SELECT 'ticket ' || t.id,
           CASE WHEN d.delivery_id IS NULL THEN 'names no delivery'
                ELSE format('names delivery %s, which is %s', d.delivery_id, d.state) END
    FROM tickets t
    LEFT JOIN waiting w ON w.ticket_id = t.id
    LEFT JOIN deliveries d
           ON d.delivery_id = (convert_from(t.job, 'UTF8')::JSONB ->> 'delivery_id')::BIGINT
    LEFT JOIN attempts a ON a.delivery_id = d.delivery_id AND a.attempt = d.attempt
    WHERE w.delivery_id IS NULL
      AND CASE
          WHEN d.delivery_id IS NULL THEN t.touched_at < $2 - INTERVAL '2 minutes'
          WHEN d.settled_at IS NOT NULL THEN d.settled_at < $2 - INTERVAL '2 minutes'
          WHEN d.state = 'unknown' THEN a.finished_at < $2 - INTERVAL '2 minutes'
          -- While it is on the wire its ticket is claimed; when it is queued it has another one.
          WHEN d.state = 'queued' THEN t.touched_at < $2 - INTERVAL '2 minutes'
          ELSE false
          END
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
