-- The newest entries that match, the newest first. Entries that say how much was dropped match every level.
SELECT l.plugin_log_id, l.plugin, l.digest, a.name AS "account?", r.name AS "route?", w.name AS "worker?",
       l.level, l.message, l.dropped, l.written_at
FROM plugin_logs l
LEFT JOIN routes r ON r.route_id = l.route_id
LEFT JOIN accounts a ON a.account_id = r.account_id
LEFT JOIN workers w ON w.worker_id = l.worker_id
WHERE ($1::TEXT IS NULL OR l.plugin = $1)
  AND (l.level IS NULL OR l.level = ANY ($2::TEXT[]))
  AND ($3::TIMESTAMPTZ IS NULL OR l.written_at >= $3)
  AND ($4::BIGINT IS NULL OR l.plugin_log_id > $4)
  AND l.plugin_log_id <> ALL ($5::BIGINT[])
ORDER BY l.plugin_log_id DESC
LIMIT $6
