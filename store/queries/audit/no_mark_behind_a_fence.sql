-- 7. No attempt was marked after the pause or deletion that closed its epoch, and none to a contact
-- after its opt-out. All times compared are the database's. An attempt that ended before there was a
-- text to hand over has no segments and was never marked. $1: how many to show.
WITH problems AS (
    SELECT format('attempt %s of delivery %s', a.attempt, a.delivery_id) AS subject,
           format('was marked at %s, and operation %s closed epoch %s at %s', a.marked_at, o.operation_id,
                  a.epoch, o.fenced_at) AS problem
    FROM attempts a
    JOIN operations o ON o.workflow_id = a.workflow_id AND o.closed_epoch = a.epoch
    WHERE a.marked_at > o.fenced_at AND NOT (a.segments = 0 AND a.outcome = 'not_sent')
    UNION ALL
    SELECT format('attempt %s of delivery %s', a.attempt, a.delivery_id),
           format('was marked at %s, and contact %s opted out at %s', a.marked_at, c.contact_id,
                  c.opted_out_at)
    FROM contacts c
    JOIN enrollments e USING (contact_id)
    JOIN deliveries d USING (enrollment_id)
    JOIN attempts a USING (delivery_id)
    WHERE c.opted_out_at IS NOT NULL AND a.marked_at > c.opted_out_at
      AND NOT (a.segments = 0 AND a.outcome = 'not_sent')
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
