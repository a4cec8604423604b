-- Where deliveries stand before their mark. Workflows and contacts are locked. A route is locked by nobody: whoever
-- pauses one, or gives it another failover, waits for the gates of the workflows that use it, which are held here.
-- $3: the route that each is to go over, null for its step's own. It is read if it is the step's or that one's
-- failover. A paused route keeps its messages from its failover, too. Its senders are read only where they are throttled; $2: the reason codes of those that have waited. Nor
-- is it a newcomer whose request is made again.
SELECT d.delivery_id AS "delivery_id!", d.account_id AS "account_id!", d.workflow_id AS "workflow_id!",
       d.state AS "state!", d.attempt AS "attempt!", d.due_at AS "due_at!", d.expires_at,
       d.held_segments AS "held_segments!", d.held_micros AS "held_micros!", d.said_sent AS "said_sent!",
       w.surplus_policy AS "surplus_policy!", e.epoch AS "epoch!",
       e.epoch = w.epoch AND e.exit_cause IS NULL AS "open!",
       c.opted_out_at IS NOT NULL AS "opted_out!",
       coalesce(f.paused_at, r.paused_at) IS NOT NULL AS "route_paused!",
       d.contact_id AS "contact_id!", r.route_id AS "route_id?", r.segments_per_second AS "segments_per_second?",
       r.segments_per_day AS "segments_per_day?",
       CASE WHEN coalesce(r.segments_per_second, r.segments_per_day) IS NOT NULL
            THEN array_prepend(r.sender, r.more_senders) END AS senders,
       d.state = 'unknown' OR coalesce(d.reason_code = ANY ($2), FALSE) AS "has_waited!"
FROM deliveries d
JOIN unnest($1::BIGINT[], $3::BIGINT[]) AS q (delivery_id, route_id) USING (delivery_id)
JOIN enrollments e USING (enrollment_id)
JOIN workflows w ON w.workflow_id = d.workflow_id
JOIN contacts c ON c.contact_id = d.contact_id
LEFT JOIN steps s ON s.workflow_id = d.workflow_id AND s.position = d.position
LEFT JOIN routes f ON f.route_id = s.route_id
LEFT JOIN routes r ON r.route_id = coalesce(q.route_id, s.route_id)
                  AND r.route_id IN (s.route_id, f.failover_route_id)
WHERE d.delivery_id = ANY ($1)
