-- Notes what the carrier reports on attempts ($2; 0: on the delivery as a whole). A report of no higher
-- rank than the one known changes nothing and is missing in the answer.
INSERT INTO receipts (delivery_id, attempt, status, rank, carrier_reference, reason_code, reason_text,
                      received_at)
SELECT q.*, $8::TIMESTAMPTZ
FROM unnest($1::BIGINT[], $2::INTEGER[], $3::TEXT[], $4::SMALLINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[])
     AS q (delivery_id, attempt, status, rank, carrier_reference, reason_code, reason_text)
ORDER BY q.delivery_id, q.attempt
ON CONFLICT (delivery_id, attempt) DO UPDATE
SET status = EXCLUDED.status,
    rank = EXCLUDED.rank,
    carrier_reference = coalesce(EXCLUDED.carrier_reference, receipts.carrier_reference),
    reason_code = EXCLUDED.reason_code,
    reason_text = EXCLUDED.reason_text,
    received_at = EXCLUDED.received_at
WHERE receipts.rank < EXCLUDED.rank
RETURNING delivery_id, attempt
