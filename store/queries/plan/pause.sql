-- What pausing the workflow ($1) would take out and give back: the steps that have no delivery yet
-- stand on the enrollment, the next step is its queued delivery.
SELECT live.contacts AS "contacts!",
       (live.steps + queued.messages)::BIGINT AS "messages!",
       (live.segments + queued.segments)::BIGINT AS "segments!",
       (live.micros + queued.micros)::BIGINT AS "micros!"
FROM (
    SELECT count(*) AS contacts,
           coalesce(sum(cardinality(step_segments) - position), 0) AS steps,
           coalesce(sum(remaining_segments), 0) AS segments,
           coalesce(sum(remaining_micros), 0) AS micros
    FROM enrollments
    WHERE workflow_id = $1 AND exit_cause IS NULL
) live
CROSS JOIN (
    SELECT count(*) AS messages,
           coalesce(sum(d.held_segments), 0) AS segments,
           coalesce(sum(d.held_micros), 0) AS micros
    FROM enrollments e
    JOIN deliveries d ON d.enrollment_id = e.enrollment_id AND d.state = 'queued'
    WHERE e.workflow_id = $1 AND e.exit_cause IS NULL
) queued
