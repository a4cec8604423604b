-- What a batch does to deliveries: settles them, queues them again or leaves them unknown. Compare and
-- set: a delivery that is not where the batch read it stays as it is and is missing in the count.
WITH changed AS (
    UPDATE deliveries d
    SET state = q.state,
        attempt = q.attempt_after,
        due_at = coalesce(q.due_at, d.due_at),
        ticket_id = q.ticket_id,
        captured_segments = q.captured_segments,
        captured_micros = q.captured_micros,
        capture_entry_id = q.capture_entry_id,
        released_segments = q.released_segments,
        released_micros = q.released_micros,
        release_entry_id = q.release_entry_id,
        carrier_reference = coalesce(q.carrier_reference, d.carrier_reference),
        reason_code = CASE WHEN q.sent_by_another THEN NULL ELSE q.reason_code END,
        reason_text = CASE WHEN q.sent_by_another THEN NULL ELSE q.reason_text END,
        settled_at = CASE WHEN q.settled THEN $19::TIMESTAMPTZ END
    FROM (
        -- Why the last attempt was not sent is no reason of a delivery that an earlier one has sent.
        SELECT *, state = 'sent' AND outcome IN ('refused', 'not_sent') AS sent_by_another
        FROM unnest($1::BIGINT[], $2::BOOLEAN[], $3::INTEGER[], $4::TEXT[], $5::INTEGER[], $6::TIMESTAMPTZ[],
                $7::TEXT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[],
                $13::BIGINT[], $14::TEXT[], $15::TEXT[], $16::TEXT[], $17::BOOLEAN[], $18::TEXT[], $20::BOOLEAN[])
         AS q (delivery_id, was_queued, attempt, state, attempt_after, due_at,
               ticket_id, captured_segments, captured_micros, capture_entry_id, released_segments,
               released_micros, release_entry_id, carrier_reference, reason_code, reason_text, settled,
               outcome, said_sent)
    ) AS q
    WHERE d.delivery_id = q.delivery_id
      AND d.attempt = q.attempt
      AND (q.said_sent IS NULL OR d.said_sent = q.said_sent)
      AND CASE WHEN q.was_queued THEN d.state = 'queued' ELSE d.state IN ('sending', 'unknown') END
    RETURNING d.delivery_id, q.attempt, q.outcome, q.reason_code, q.reason_text
),
ended AS (
    UPDATE attempts a
    SET outcome = c.outcome,
        finished_at = $19::TIMESTAMPTZ,
        reason_code = c.reason_code,
        reason_text = c.reason_text
    FROM changed c
    WHERE a.delivery_id = c.delivery_id AND a.attempt = c.attempt AND c.outcome IS NOT NULL
)
SELECT count(*) AS "changed!" FROM changed
