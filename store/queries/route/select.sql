-- Routes by name: the one with an id ($1), or an account's ($2), all of them or the one of a name ($3).
SELECT route_id, account_id, name, carrier,
       settings AS "settings: Json<BTreeMap<String, String>>",
       secrets AS "secrets: Json<BTreeMap<String, String>>",
       array_prepend(sender, more_senders) AS "senders!", segments_per_second, segments_per_day,
       max_in_flight, send_timeout_ms,
       price_micros_per_segment, allowed_origins, allow_loopback,
       revision, paused_at, paused_reason, created_at, updated_at
FROM routes
WHERE ($1::BIGINT IS NULL OR route_id = $1)
  AND ($2::BIGINT IS NULL OR account_id = $2)
  AND ($3::TEXT IS NULL OR name = $3)
ORDER BY name
