-- Marks queued deliveries as sending and writes their attempts down. Compare and set: a delivery that is
-- not queued at the attempt before any more, or of which somebody has just said that it was sent, is left out. Workflows and contacts are locked.
WITH marked AS (
    UPDATE deliveries d
    SET state = 'sending',
        attempt = q.attempt,
        ticket_id = NULL,
        held_segments = d.held_segments + q.extra_segments,
        held_micros = d.held_micros + q.extra_micros
    FROM unnest($1::BIGINT[], $2::INTEGER[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[],
                $7::BIGINT[], $8::BIGINT[])
         AS q (delivery_id, attempt, segments, epoch, extra_segments, extra_micros, extra_hold_entry_id,
               route_id)
    WHERE d.delivery_id = q.delivery_id AND d.state = 'queued' AND d.attempt = q.attempt - 1 AND NOT d.said_sent
    RETURNING q.*, d.workflow_id
)
INSERT INTO attempts (delivery_id, attempt, segments, epoch, extra_segments, extra_micros,
                      extra_hold_entry_id, route_id, workflow_id, worker_id, batch_id, started_at)
SELECT m.*, $9::BIGINT, $10::UUID, $11::TIMESTAMPTZ
FROM marked m
RETURNING delivery_id
