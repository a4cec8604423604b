-- 4. Every step of every enrollment is held once, and then captured or released once; the state of a
-- delivery agrees with the kind of the entries it points at. $1: how many to show.
WITH extra AS MATERIALIZED (
    SELECT a.delivery_id, sum(a.extra_micros)::BIGINT AS micros, sum(a.extra_segments)::BIGINT AS segments,
           bool_and(l.kind IS NOT DISTINCT FROM 'hold') AS held
    FROM attempts a
    LEFT JOIN ledger_entries l ON l.ledger_entry_id = a.extra_hold_entry_id
    WHERE a.extra_hold_entry_id IS NOT NULL
    GROUP BY a.delivery_id
),
problems AS (
    SELECT 'delivery ' || d.delivery_id AS subject,
           format('%s: held %s, captured %s by %s, released %s by %s; held for its step %s, added %s',
                  d.state, d.held_micros,
                  d.captured_micros, coalesce(c.kind || ' ' || d.capture_entry_id, 'no entry'),
                  d.released_micros, coalesce(r.kind || ' ' || d.release_entry_id, 'no entry'),
                  e.step_micros[d.position], coalesce(x.micros, 0)) AS problem
    FROM deliveries d
    LEFT JOIN enrollments e USING (enrollment_id)
    LEFT JOIN extra x ON x.delivery_id = d.delivery_id
    LEFT JOIN ledger_entries c ON c.ledger_entry_id = d.capture_entry_id
    LEFT JOIN ledger_entries r ON r.ledger_entry_id = d.release_entry_id
    WHERE NOT CASE
            WHEN d.state IN ('queued', 'sending', 'unknown') THEN
                d.settled_at IS NULL AND d.capture_entry_id IS NULL AND d.release_entry_id IS NULL
                AND d.captured_micros = 0 AND d.released_micros = 0
                AND d.captured_segments = 0 AND d.released_segments = 0
            WHEN d.state = 'sent' THEN
                d.settled_at IS NOT NULL AND c.kind IS NOT DISTINCT FROM 'capture'
                AND d.held_micros = d.captured_micros + d.released_micros
                AND d.held_segments = d.captured_segments + d.released_segments
                AND (d.release_entry_id IS NOT NULL) = (d.released_micros > 0 OR d.released_segments > 0)
                AND coalesce(r.kind, 'release') = 'release'
            ELSE
                d.settled_at IS NOT NULL AND d.capture_entry_id IS NULL
                AND r.kind IS NOT DISTINCT FROM 'release'
                AND d.captured_micros = 0 AND d.captured_segments = 0
                AND d.held_micros = d.released_micros AND d.held_segments = d.released_segments
            END
       OR d.held_micros IS DISTINCT FROM e.step_micros[d.position] + coalesce(x.micros, 0)
       OR d.held_segments IS DISTINCT FROM e.step_segments[d.position] + coalesce(x.segments, 0)
       OR d.position NOT BETWEEN e.first_position AND e.position
       OR NOT coalesce(x.held, true)
    UNION ALL
    -- The steps that have no delivery: held by the enrollment while it is live, then released by it.
    SELECT 'enrollment ' || e.enrollment_id,
           format('at step %s of %s: held by a %s, remaining %s, released %s by %s', e.position,
                  e.step_micros, h.kind, e.remaining_micros, e.released_micros,
                  coalesce(r.kind || ' ' || e.release_entry_id, 'no entry'))
    FROM enrollments e
    LEFT JOIN ledger_entries h ON h.ledger_entry_id = e.hold_entry_id
    LEFT JOIN ledger_entries r ON r.ledger_entry_id = e.release_entry_id
    WHERE h.kind IS DISTINCT FROM 'hold'
       OR coalesce(r.kind, 'release') <> 'release'
       -- At the last step there is nothing to sum up.
       OR CASE WHEN e.position = cardinality(e.step_micros) THEN
              e.remaining_micros <> 0 OR e.remaining_segments <> 0
              OR e.released_micros <> 0 OR e.released_segments <> 0
          ELSE (
              SELECT sum(s.micros) <> e.remaining_micros + e.released_micros
                  OR sum(s.segments) <> e.remaining_segments + e.released_segments
              FROM unnest(e.step_micros[e.position + 1 :], e.step_segments[e.position + 1 :])
                   AS s (micros, segments))
          END
       OR CASE WHEN e.exit_cause IS NULL THEN e.released_micros <> 0 OR e.released_segments <> 0
               ELSE e.remaining_micros <> 0 OR e.remaining_segments <> 0 END
    UNION ALL
    -- A requeue takes up a failed delivery of the same contact, at its step.
    SELECT 'enrollment ' || e.enrollment_id,
           format('begins at step %s and requeues delivery %s, which is %s at step %s', e.first_position,
                  e.requeued_delivery_id, coalesce(d.state, 'not known'), d.position)
    FROM enrollments e
    LEFT JOIN deliveries d ON d.delivery_id = e.requeued_delivery_id
    WHERE e.requeued_delivery_id IS NOT NULL
      AND (d.state IS DISTINCT FROM 'failed' OR d.position <> e.first_position
           OR d.contact_id <> e.contact_id OR d.workflow_id <> e.workflow_id)
)
SELECT subject AS "subject!", problem AS "problem!", problem AS "difference!",
       count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
