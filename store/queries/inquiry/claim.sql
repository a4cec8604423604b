-- Takes on unknown deliveries whose carrier ($1) can be asked or told again and that are due for it by $2,
-- longest unknown first. Their next inquiry moves to $3, by which no other worker takes them on: the
-- comparison on conflict is made on the row as it stands, whoever has just written it. What is in doubt is
-- read first: see `sweep/overdue_unknown.sql`.
WITH undecided AS MATERIALIZED (
    SELECT delivery_id, attempt, marked_at, finished_at, reason_code FROM attempts WHERE outcome = 'unknown'
),
due AS MATERIALIZED (
    SELECT d.delivery_id, d.attempt, d.contact_id, u.marked_at, r.route_id, r.route_revision, r.carrier,
           r.reference, r.key_expires_at IS NOT NULL AS keyed,
           u.reason_code IS NOT DISTINCT FROM 'worker_gone' AS orphaned
    FROM undecided u
    JOIN deliveries d USING (delivery_id, attempt)
    JOIN attempt_references r USING (delivery_id, attempt)
    LEFT JOIN inquiries i USING (delivery_id)
    WHERE d.state = 'unknown' AND r.carrier = ANY ($1)
      AND (i.due_at IS NULL OR i.due_at <= $2)
    ORDER BY u.finished_at, d.delivery_id
    LIMIT $4
),
claimed AS (
    INSERT INTO inquiries (delivery_id, inquiry, due_at)
    SELECT delivery_id, 1, $3 FROM due
    ORDER BY delivery_id
    ON CONFLICT (delivery_id) DO UPDATE
    SET inquiry = inquiries.inquiry + 1, due_at = EXCLUDED.due_at
    WHERE inquiries.due_at <= $2
    RETURNING delivery_id, inquiry
)
SELECT due.delivery_id, due.attempt, claimed.inquiry, due.route_id, due.route_revision, due.carrier,
       due.reference, due.keyed AS "keyed!", due.orphaned AS "orphaned!", c.phone, due.contact_id, due.marked_at,
       extract(epoch FROM clock_timestamp() - due.marked_at)::FLOAT8 AS "age_seconds!"
FROM claimed
JOIN due USING (delivery_id)
JOIN contacts c USING (contact_id)
ORDER BY due.delivery_id
