-- Routes by name: the one with an id ($1), or an account's ($2), all of them or the one of a name ($3).
SELECT r.route_id, r.account_id, r.name, r.carrier,
       r.settings AS "settings: Json<BTreeMap<String, String>>",
       r.secrets AS "secrets: Json<BTreeMap<String, String>>",
       array_prepend(r.sender, r.more_senders) AS "senders!", r.segments_per_second, r.segments_per_day,
       r.max_in_flight, r.send_timeout_ms, f.name AS "failover?",
       r.price_micros_per_segment, r.allowed_origins, r.allow_loopback,
       r.callback_token, r.revision, r.paused_at, r.paused_reason, r.created_at, r.updated_at
FROM routes r LEFT JOIN routes f ON f.route_id = r.failover_route_id
WHERE ($1::BIGINT IS NULL OR r.route_id = $1)
  AND ($2::BIGINT IS NULL OR r.account_id = $2)
  AND ($3::TEXT IS NULL OR r.name = $3)
ORDER BY r.name
