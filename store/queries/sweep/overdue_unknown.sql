-- Deliveries of which nobody has known anything since $1, counted from the first attempt that the last
-- one repeats.
SELECT d.delivery_id, d.attempt
FROM attempts a
JOIN deliveries d USING (delivery_id, attempt)
WHERE a.outcome = 'unknown' AND d.state = 'unknown' AND d.delivery_id > $2
  AND coalesce((SELECT min(r.finished_at) FROM attempts r
                WHERE a.attempt > 1 AND r.delivery_id = a.delivery_id AND r.outcome = 'repeated'),
               a.finished_at) <= $1
ORDER BY d.delivery_id
LIMIT $3
