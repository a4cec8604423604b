-- A page of the deliveries of an account ($1), latest first. Every filter that is null lets all pass.
WITH page AS (
    SELECT d.*
    FROM deliveries d
    WHERE d.account_id = $1
      AND ($2::BIGINT IS NULL OR d.workflow_id = $2)
      -- Through the enrollments, since those have an index by contact.
      AND ($3::BIGINT IS NULL OR d.enrollment_id IN (
          SELECT e.enrollment_id FROM enrollments e WHERE e.contact_id = $3))
      AND ($4::BIGINT IS NULL OR d.enrollment_id = $4)
      AND ($5::TEXT IS NULL OR d.state = $5)
      -- The second condition lets the small index of what is not settled serve these states.
      AND ($5::TEXT IS NULL OR $5 NOT IN ('queued', 'sending', 'unknown') OR d.settled_at IS NULL)
      AND ($6::BIGINT IS NULL OR d.delivery_id < $6)
      AND (NOT $8::BOOLEAN OR d.delivery_id IN (
          SELECT c.delivery_id FROM evidence c WHERE c.account_id = $1 AND c.effect = 'contradicted'))
      AND ($9::TEXT IS NULL OR d.reason_code = $9)
    ORDER BY d.delivery_id DESC
    LIMIT $7
)
SELECT page.delivery_id, page.workflow_id, w.name AS workflow, page.enrollment_id, page.contact_id,
       c.phone, page.position, page.state, page.attempt, page.due_at, page.expires_at,
       page.held_segments, page.held_micros, page.captured_segments, page.captured_micros,
       page.released_segments, page.released_micros, page.carrier_reference, page.reason_code,
       page.reason_text, page.created_at, page.settled_at
FROM page
JOIN workflows w ON w.workflow_id = page.workflow_id
JOIN contacts c ON c.contact_id = page.contact_id
ORDER BY page.delivery_id DESC
