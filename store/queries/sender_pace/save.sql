-- Writes paces that are locked.
UPDATE sender_paces p
SET full_at = q.full_at, line_end_at = q.line_end_at, late_end_at = q.late_end_at, day = q.day,
    day_segments = q.day_segments
FROM unnest($1::BIGINT[], $2::TEXT[], $3::TIMESTAMPTZ[], $4::TIMESTAMPTZ[], $5::TIMESTAMPTZ[], $6::DATE[],
            $7::BIGINT[])
     AS q (route_id, sender, full_at, line_end_at, late_end_at, day, day_segments)
WHERE p.route_id = q.route_id AND p.sender = q.sender
