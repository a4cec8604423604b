-- Deliveries of which nobody has known anything since $1, counted from the first attempt that the last
-- one repeats. What is in doubt is read first, once and by its own index: without statistics of these
-- tables, as after a crash of the server, the planner would else look through all of it for each delivery.
WITH undecided AS MATERIALIZED (
    SELECT delivery_id, attempt, finished_at
    FROM attempts
    WHERE outcome = 'unknown' AND delivery_id > $2 AND (attempt > 1 OR finished_at <= $1)
)
SELECT d.delivery_id, d.attempt
FROM undecided u
JOIN deliveries d USING (delivery_id, attempt)
WHERE d.state = 'unknown'
  AND coalesce((SELECT min(r.finished_at) FROM attempts r
                WHERE u.attempt > 1 AND r.delivery_id = u.delivery_id AND r.outcome = 'repeated'),
               u.finished_at) <= $1
ORDER BY d.delivery_id
LIMIT $3
