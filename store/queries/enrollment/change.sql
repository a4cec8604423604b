-- What a batch does to enrollments: moves them to their next step or ends them. Compare and set: an
-- enrollment that is not where the batch read it stays as it is and is missing in the count.
UPDATE enrollments e
SET position = q.position_after,
    remaining_segments = q.remaining_segments,
    remaining_micros = q.remaining_micros,
    exit_cause = q.exit_cause,
    exited_by = CASE WHEN q.exit_cause IS NOT NULL THEN $11::TEXT END,
    exited_at = CASE WHEN q.exit_cause IS NOT NULL THEN $12::TIMESTAMPTZ END,
    released_segments = q.released_segments,
    released_micros = q.released_micros,
    release_entry_id = q.release_entry_id,
    operation_id = $10::BIGINT
FROM unnest($1::BIGINT[], $2::INTEGER[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[],
            $7::BIGINT[], $8::BIGINT[], $9::BIGINT[])
     AS q (enrollment_id, position, position_after, remaining_segments, remaining_micros, exit_cause,
           released_segments, released_micros, release_entry_id)
WHERE e.enrollment_id = q.enrollment_id AND e.exit_cause IS NULL AND e.position = q.position
