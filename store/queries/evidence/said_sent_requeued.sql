-- Writes it on what takes up failed deliveries ($1) of which it is written, and on what takes up those.
WITH RECURSIVE requeued AS (
    SELECT d.delivery_id
    FROM deliveries d
    WHERE d.delivery_id = ANY ($1) AND d.said_sent AND d.state = 'failed'
    UNION
    SELECT next.delivery_id
    FROM requeued r
    JOIN enrollments e ON e.requeued_delivery_id = r.delivery_id
    JOIN deliveries next ON next.enrollment_id = e.enrollment_id AND next.position = e.first_position
)
UPDATE deliveries d SET said_sent = TRUE
FROM requeued r
WHERE d.delivery_id = r.delivery_id AND NOT d.said_sent AND d.state <> 'sent'
