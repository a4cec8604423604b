-- A page of the enrollments of an account ($1), latest first, each with the sums of its deliveries
-- and the delivery of the step it is at. Every filter that is null lets all pass; the contacts must meet
-- the conditions $9 to $15, the enrollments $16 to $19.
WITH page AS (
    SELECT e.*
    FROM enrollments e
    JOIN contacts c USING (contact_id)
    WHERE e.account_id = $1
      AND ($2::BIGINT IS NULL OR e.workflow_id = $2)
      AND ($3::BIGINT IS NULL OR e.contact_id = $3)
      AND ($4::BOOLEAN IS NULL OR $4 = (e.exit_cause IS NULL))
      AND ($5::TEXT IS NULL OR e.exit_cause = $5)
      AND ($6::BIGINT IS NULL OR e.operation_id = $6)
      AND ($7::BIGINT IS NULL OR e.enrollment_id < $7)
      AND c.fields @> ALL ($9::JSONB[]) AND NOT c.fields @> ANY ($10::JSONB[])
      AND NOT c.fields ?| $11::TEXT[] AND c.fields ?& $12::TEXT[]
      AND c.time_zone = ALL ($13::TEXT[]) AND c.time_zone <> ALL ($14::TEXT[])
      AND c.phone LIKE ALL ($15::TEXT[])
      AND ($16::INTEGER IS NULL OR e.position >= $16) AND ($17::INTEGER IS NULL OR e.position <= $17)
      AND ($18::TIMESTAMPTZ IS NULL OR e.enrolled_at >= $18)
      AND ($19::TIMESTAMPTZ IS NULL OR e.enrolled_at < $19)
    ORDER BY e.enrollment_id DESC
    LIMIT $8
)
SELECT page.enrollment_id, page.workflow_id, w.name AS workflow, page.contact_id, c.phone,
       page.enrolled_by, page.enrolled_at, page.position,
       cardinality(page.step_segments) AS "steps!",
       sums.sent AS "sent!",
       (page.remaining_segments + sums.held_segments)::BIGINT AS "held_segments!",
       (page.remaining_micros + sums.held_micros)::BIGINT AS "held_micros!",
       sums.captured_micros::BIGINT AS "captured_micros!",
       (page.released_segments + sums.released_segments)::BIGINT AS "released_segments!",
       (page.released_micros + sums.released_micros)::BIGINT AS "released_micros!",
       d.delivery_id, d.state, d.due_at, d.attempt,
       page.exit_cause, page.exited_by, page.exited_at, page.operation_id
FROM page
JOIN workflows w ON w.workflow_id = page.workflow_id
JOIN contacts c ON c.contact_id = page.contact_id
JOIN deliveries d ON d.enrollment_id = page.enrollment_id AND d.position = page.position
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE s.state = 'sent') AS sent,
           coalesce(sum(s.held_segments) FILTER (WHERE s.settled_at IS NULL), 0) AS held_segments,
           coalesce(sum(s.held_micros) FILTER (WHERE s.settled_at IS NULL), 0) AS held_micros,
           coalesce(sum(s.captured_micros), 0) AS captured_micros,
           coalesce(sum(s.released_segments), 0) AS released_segments,
           coalesce(sum(s.released_micros), 0) AS released_micros
    FROM deliveries s
    WHERE s.enrollment_id = page.enrollment_id
) sums
ORDER BY page.enrollment_id DESC
