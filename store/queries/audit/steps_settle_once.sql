-- 4. Every step of every enrollment is held once, and then captured or released once; a delivery's
-- state agrees with the kind of the entries it points at. $1: how many to show.
WITH problems AS (
    -- The delivery by itself.
    SELECT 'delivery ' || delivery_id AS subject,
           format('%s: held %s, captured %s by %s, released %s by %s', state, held_micros,
                  captured_micros, coalesce(capture_entry_id::TEXT, 'no entry'), released_micros,
                  coalesce(release_entry_id::TEXT, 'no entry')) AS problem
    FROM deliveries
    WHERE NOT CASE
        WHEN state IN ('queued', 'sending', 'unknown') THEN
            settled_at IS NULL AND capture_entry_id IS NULL AND release_entry_id IS NULL
            AND captured_micros = 0 AND released_micros = 0
            AND captured_segments = 0 AND released_segments = 0
        WHEN state = 'sent' THEN
            settled_at IS NOT NULL AND capture_entry_id IS NOT NULL
            AND held_micros = captured_micros + released_micros
            AND held_segments = captured_segments + released_segments
            AND (release_entry_id IS NOT NULL) = (released_micros > 0 OR released_segments > 0)
        ELSE
            settled_at IS NOT NULL AND capture_entry_id IS NULL AND release_entry_id IS NOT NULL
            AND captured_micros = 0 AND captured_segments = 0
            AND held_micros = released_micros AND held_segments = released_segments
        END
    UNION ALL
    -- The delivery against the kinds of its entries.
    SELECT 'delivery ' || d.delivery_id,
           format('%s, and entry %s is a %s', d.state, l.ledger_entry_id, l.kind)
    FROM deliveries d
    JOIN ledger_entries l ON l.ledger_entry_id = d.capture_entry_id
    WHERE l.kind <> 'capture'
    UNION ALL
    SELECT 'delivery ' || d.delivery_id,
           format('%s, and entry %s is a %s', d.state, l.ledger_entry_id, l.kind)
    FROM deliveries d
    JOIN ledger_entries l ON l.ledger_entry_id = d.release_entry_id
    WHERE l.kind <> 'release'
    UNION ALL
    SELECT 'attempt ' || a.attempt || ' of delivery ' || a.delivery_id,
           format('added to its hold, and entry %s is a %s', l.ledger_entry_id, l.kind)
    FROM attempts a
    JOIN ledger_entries l ON l.ledger_entry_id = a.extra_hold_entry_id
    WHERE l.kind <> 'hold'
    UNION ALL
    -- The delivery against what its enrollment held for the step, and what longer texts added.
    SELECT 'delivery ' || d.delivery_id,
           format('holds %s, and its step %s with what was added %s', d.held_micros,
                  e.step_micros[d.position], coalesce(x.micros, 0))
    FROM deliveries d
    LEFT JOIN enrollments e USING (enrollment_id)
    LEFT JOIN (
        SELECT delivery_id, sum(extra_micros) AS micros, sum(extra_segments) AS segments
        FROM attempts WHERE extra_hold_entry_id IS NOT NULL GROUP BY delivery_id
    ) x ON x.delivery_id = d.delivery_id
    WHERE d.held_micros IS DISTINCT FROM e.step_micros[d.position] + coalesce(x.micros, 0)
       OR d.held_segments IS DISTINCT FROM e.step_segments[d.position] + coalesce(x.segments, 0)
       OR d.position > e.position
    UNION ALL
    -- The enrollment's steps that have no delivery: still held while it is live, released once it ended.
    SELECT 'enrollment ' || enrollment_id,
           format('at step %s: remaining %s, released %s of %s', position, remaining_micros,
                  released_micros, step_micros)
    FROM enrollments
    WHERE remaining_micros + released_micros
              <> (SELECT coalesce(sum(m), 0) FROM unnest(step_micros[position + 1 :]) m)
       OR remaining_segments + released_segments
              <> (SELECT coalesce(sum(s), 0) FROM unnest(step_segments[position + 1 :]) s)
       OR CASE WHEN exit_cause IS NULL THEN released_micros <> 0 OR released_segments <> 0
               ELSE remaining_micros <> 0 OR remaining_segments <> 0 END
    UNION ALL
    SELECT 'enrollment ' || e.enrollment_id,
           format('entry %s is a %s', l.ledger_entry_id, l.kind)
    FROM enrollments e
    JOIN ledger_entries l
      ON l.ledger_entry_id = e.hold_entry_id AND l.kind <> 'hold'
      OR l.ledger_entry_id = e.release_entry_id AND l.kind <> 'release'
)
SELECT subject AS "subject!", problem AS "problem!", count(*) OVER () AS "found!"
FROM problems
ORDER BY subject
LIMIT $1
