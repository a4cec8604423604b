-- Whether somebody says that an earlier hand-over was sent, which had been decided otherwise. It stands on the delivery
-- itself, so that whoever has read it without, and marks, settles or requeues it, finds that out by the row.
ALTER TABLE deliveries ADD COLUMN said_sent BOOLEAN NOT NULL DEFAULT FALSE;

UPDATE deliveries d SET said_sent = TRUE
FROM evidence e JOIN attempts t USING (delivery_id, attempt)
WHERE e.delivery_id = d.delivery_id AND e.effect = 'contradicted' AND e.verdict = 'sent'
  AND t.outcome IN ('not_sent', 'refused') AND t.segments > 0;
