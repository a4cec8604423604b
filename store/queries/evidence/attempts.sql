-- What is known about the attempts that somebody speaks of ($2; null: the delivery's last one that was handed over).
-- One that was never made is missing.
SELECT q.place AS "place!", a.attempt, a.outcome, a.segments, d.ticket_id
FROM unnest($1::BIGINT[], $2::INTEGER[]) WITH ORDINALITY AS q (delivery_id, attempt, place)
JOIN deliveries d USING (delivery_id)
JOIN attempts a ON a.delivery_id = d.delivery_id AND a.attempt = coalesce(
    q.attempt, (SELECT max(h.attempt) FROM attempts h WHERE h.delivery_id = q.delivery_id AND h.segments > 0))
