-- Unknown deliveries on which their carrier has reported all the same, by the attempt that nobody knew
-- of, or under the key of all of them. What is in doubt is read first: see `overdue_unknown.sql`.
WITH undecided AS MATERIALIZED (
    SELECT delivery_id, attempt FROM attempts WHERE outcome = 'unknown' AND delivery_id > $1
)
SELECT DISTINCT ON (d.delivery_id)
       d.delivery_id, d.attempt, r.status, r.carrier_reference
FROM undecided u
JOIN deliveries d USING (delivery_id, attempt)
JOIN receipts r ON r.delivery_id = u.delivery_id AND r.attempt IN (u.attempt, 0)
WHERE d.state = 'unknown'
ORDER BY d.delivery_id, r.rank DESC
LIMIT $2
