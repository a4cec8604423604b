-- Writes it on deliveries ($1) that somebody says that an earlier hand-over was sent, which had been decided otherwise. Gives
-- their states.
UPDATE deliveries d SET said_sent = TRUE
FROM (SELECT e.delivery_id
      FROM evidence e JOIN attempts t USING (delivery_id, attempt)
      WHERE e.delivery_id = ANY ($1) AND e.effect = 'contradicted' AND e.verdict = 'sent'
        AND t.outcome IN ('not_sent', 'refused') AND t.segments > 0) AS said
WHERE d.delivery_id = said.delivery_id AND NOT d.said_sent
RETURNING d.state
