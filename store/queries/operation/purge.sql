-- Ends a chunk of live enrollments, which are locked: cancels their queued deliveries, deletes the
-- tickets of these, and gives everything back. What is on the wire is left to its settlement. A ticket
-- that a worker has claimed is left to that worker, which finds nothing to send.
WITH queued AS MATERIALIZED (
    SELECT delivery_id, ticket_id FROM deliveries
    WHERE enrollment_id = ANY ($1) AND settled_at IS NULL AND state = 'queued'
),
cancelled AS (
    UPDATE deliveries d
    SET state = 'cancelled', ticket_id = NULL, settled_at = $3::TIMESTAMPTZ,
        released_segments = d.held_segments, released_micros = d.held_micros, release_entry_id = $2::BIGINT
    FROM queued q
    WHERE d.delivery_id = q.delivery_id AND d.state = 'queued'
    RETURNING q.ticket_id, d.released_segments, d.released_micros
),
withdrawn AS (
    DELETE FROM apalis.jobs j USING cancelled c WHERE j.id = c.ticket_id AND j.status = 'Pending'
),
ended AS (
    UPDATE enrollments
    SET exit_cause = $4::TEXT, exited_by = $5::TEXT, exited_at = $3::TIMESTAMPTZ, operation_id = $6::BIGINT,
        released_segments = remaining_segments, released_micros = remaining_micros,
        release_entry_id = CASE WHEN remaining_segments > 0 OR remaining_micros > 0 THEN $2::BIGINT END,
        remaining_segments = 0, remaining_micros = 0
    WHERE enrollment_id = ANY ($1) AND exit_cause IS NULL
    RETURNING released_segments, released_micros, release_entry_id,
              cardinality(step_segments) - position AS later_steps
)
SELECT e.removed AS "removed!", c.cancelled AS "cancelled!",
       c.cancelled + e.later_steps AS "messages!",
       c.cancelled + e.releasing AS "items!",
       c.segments + e.segments AS "segments!", c.micros + e.micros AS "micros!"
FROM (SELECT count(*) AS cancelled, coalesce(sum(released_segments), 0)::BIGINT AS segments,
             coalesce(sum(released_micros), 0)::BIGINT AS micros FROM cancelled) c,
     (SELECT count(*) AS removed, count(release_entry_id) AS releasing,
             coalesce(sum(later_steps), 0)::BIGINT AS later_steps,
             coalesce(sum(released_segments), 0)::BIGINT AS segments,
             coalesce(sum(released_micros), 0)::BIGINT AS micros FROM ended) e
