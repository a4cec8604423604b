-- Marks unknown deliveries as sending once more, and writes the new attempts down; the ones before are
-- repeated by them. Compare and set: a delivery that is not unknown at that attempt any more, or of
-- which somebody says that it was sent before, is left out.
-- Workflows and contacts are locked.
WITH marked AS (
    UPDATE deliveries d
    SET state = 'sending', attempt = q.attempt + 1, reason_code = NULL, reason_text = NULL
    FROM unnest($1::BIGINT[], $2::INTEGER[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[])
         AS q (delivery_id, attempt, segments, epoch, route_id)
    WHERE d.delivery_id = q.delivery_id AND d.state = 'unknown' AND d.attempt = q.attempt AND NOT d.said_sent
    RETURNING q.*, d.workflow_id
),
repeated AS (
    UPDATE attempts a SET outcome = 'repeated'
    FROM marked m
    WHERE a.delivery_id = m.delivery_id AND a.attempt = m.attempt AND a.outcome = 'unknown'
)
INSERT INTO attempts (delivery_id, attempt, segments, epoch, route_id, workflow_id, worker_id, batch_id,
                      started_at)
SELECT m.delivery_id, m.attempt + 1, m.segments, m.epoch, m.route_id, m.workflow_id, $6::BIGINT, $7::UUID,
       $8::TIMESTAMPTZ
FROM marked m
RETURNING delivery_id
