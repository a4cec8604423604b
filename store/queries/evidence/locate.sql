-- The deliveries that a carrier's ids ($2) name in an account ($1), with their last attempt. Of a message
-- that the carrier has split, the first of its ids names it.
SELECT split_part(d.carrier_reference, ',', 1) AS "carrier_reference!", d.delivery_id, d.attempt
FROM deliveries d
WHERE split_part(d.carrier_reference, ',', 1) = ANY ($2) AND d.account_id = $1
