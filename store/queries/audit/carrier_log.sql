-- 10. Deliveries $3 < id <= $4 against how often the carrier's log says that it accepted each of them
-- ($1: delivery ids, $2: how often). Sent: once; failed, cancelled, expired: never; else, and where it was
-- taken for sent because nobody knew, at most once.
-- $5: how many to show.
SELECT 'delivery ' || coalesce(d.delivery_id, log.delivery_id) AS "subject!",
       format('is %s, and the carrier accepted it %s times', coalesce(d.state, 'not known here'),
              coalesce(log.accepted, 0)) AS "problem!",
       count(*) OVER () AS "found!"
FROM (SELECT delivery_id, state,
             state = 'sent' AND EXISTS (
                 SELECT FROM attempts a
                 WHERE a.delivery_id = deliveries.delivery_id AND a.attempt = deliveries.attempt
                   AND a.outcome = 'presumed_sent') AS presumed
      FROM deliveries WHERE delivery_id > $3 AND delivery_id <= $4) d
FULL JOIN unnest($1::BIGINT[], $2::BIGINT[]) AS log (delivery_id, accepted)
       ON log.delivery_id = d.delivery_id
WHERE CASE
    WHEN d.presumed THEN coalesce(log.accepted, 0) > 1
    WHEN d.state = 'sent' THEN coalesce(log.accepted, 0) <> 1
    WHEN d.state IN ('queued', 'sending', 'unknown') THEN coalesce(log.accepted, 0) > 1
    ELSE coalesce(log.accepted, 0) <> 0
    END
ORDER BY coalesce(d.delivery_id, log.delivery_id)
LIMIT $5
