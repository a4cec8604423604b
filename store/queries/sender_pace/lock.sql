-- Locks the paces of these senders, those of new ones too, in one order for everybody, and gives them with the time of
-- the clock that all workers share.
INSERT INTO sender_paces AS p (route_id, sender, full_at, line_end_at, late_end_at, day, day_segments)
SELECT q.route_id, q.sender, now.at, now.at, now.at, (now.at AT TIME ZONE 'UTC')::DATE, 0
FROM unnest($1::BIGINT[], $2::TEXT[]) AS q (route_id, sender), (SELECT clock_timestamp() AS at) now
ORDER BY q.route_id, q.sender
ON CONFLICT (route_id, sender) DO UPDATE SET sender = EXCLUDED.sender
RETURNING p.route_id, p.sender, p.full_at, p.line_end_at, p.late_end_at, p.day, p.day_segments,
          clock_timestamp() AS "now!"
