-- Unknown deliveries on which their carrier has reported all the same, by the attempt that nobody knew
-- of, or under the key of all of them.
SELECT DISTINCT ON (d.delivery_id)
       d.delivery_id, d.attempt, r.status, r.carrier_reference
FROM attempts a
JOIN deliveries d USING (delivery_id, attempt)
JOIN receipts r ON r.delivery_id = a.delivery_id AND r.attempt IN (a.attempt, 0)
WHERE a.outcome = 'unknown' AND d.state = 'unknown' AND d.delivery_id > $1
ORDER BY d.delivery_id, r.rank DESC
LIMIT $2
