-- For each unknown delivery that is to be repeated: until when the carrier keeps its key, counted from
-- the first attempt, and whether every attempt of which nobody knows was this very request under this
-- very key, over this very route.
SELECT q.delivery_id AS "delivery_id!",
       (SELECT min(first.key_expires_at) FROM attempt_references first
        WHERE first.delivery_id = q.delivery_id AND first.route_id = q.route_id) AS key_expires_at,
       bool_and(coalesce(r.request_digest = q.request_digest AND r.reference = q.reference
                         AND r.route_id = q.route_id AND r.route_revision = q.route_revision, false))
           AS "same!"
FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[])
     AS q (delivery_id, request_digest, reference, route_id, route_revision)
JOIN attempts a ON a.delivery_id = q.delivery_id AND a.outcome IN ('unknown', 'repeated')
LEFT JOIN attempt_references r ON r.delivery_id = a.delivery_id AND r.attempt = a.attempt
GROUP BY q.delivery_id, q.route_id
