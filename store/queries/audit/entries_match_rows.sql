-- 3. Every hold, capture and release equals the sum and the count of the rows that point at it, and
-- they are of its account. Top-ups and adjustments have none. $1: how many to show.
WITH settled AS MATERIALIZED (
    -- One pass over the largest table for both of its pointers.
    SELECT capture_entry_id, release_entry_id, account_id,
           sum(captured_micros) AS captured_micros, sum(captured_segments) AS captured_segments,
           sum(released_micros) AS released_micros, sum(released_segments) AS released_segments,
           count(*) AS items
    FROM deliveries
    WHERE settled_at IS NOT NULL
    GROUP BY capture_entry_id, release_entry_id, account_id
),
pointed AS (
    SELECT e.hold_entry_id AS entry_id, e.account_id, sum(step.micros) AS micros,
           sum(step.segments) AS segments, count(*) FILTER (WHERE step.position = 1) AS items
    FROM enrollments e,
         unnest(e.step_micros, e.step_segments) WITH ORDINALITY AS step (micros, segments, position)
    GROUP BY e.hold_entry_id, e.account_id
    UNION ALL
    SELECT a.extra_hold_entry_id, d.account_id, sum(a.extra_micros), sum(a.extra_segments), count(*)
    FROM attempts a JOIN deliveries d USING (delivery_id)
    WHERE a.extra_hold_entry_id IS NOT NULL
    GROUP BY a.extra_hold_entry_id, d.account_id
    UNION ALL
    SELECT capture_entry_id, account_id, captured_micros, captured_segments, items
    FROM settled WHERE capture_entry_id IS NOT NULL
    UNION ALL
    SELECT release_entry_id, account_id, released_micros, released_segments, items
    FROM settled WHERE release_entry_id IS NOT NULL
    UNION ALL
    SELECT release_entry_id, account_id, sum(released_micros), sum(released_segments), count(*)
    FROM enrollments WHERE release_entry_id IS NOT NULL
    GROUP BY release_entry_id, account_id
    UNION ALL
    -- An enrolment stands for what it did not hand on to an enrollment: reserved until its end, then
    -- given back.
    SELECT hold_entry_id, account_id, reserved_micros + released_micros,
           reserved_segments + released_segments, preview_contacts - enrolled_enrollments
    FROM operations WHERE hold_entry_id IS NOT NULL
    UNION ALL
    SELECT release_entry_id, account_id, released_micros, released_segments, 1
    FROM operations WHERE release_entry_id IS NOT NULL
),
sums AS (
    SELECT entry_id, min(account_id) AS account_id, max(account_id) AS other_account_id,
           sum(micros) AS micros, sum(segments) AS segments, sum(items) AS items
    FROM pointed
    GROUP BY entry_id
)
SELECT 'ledger entry ' || coalesce(l.ledger_entry_id, s.entry_id) AS "subject!",
       CASE WHEN l.ledger_entry_id IS NULL THEN format('%s rows point at it and it does not exist', s.items)
            ELSE format('%s of %s micros, %s segments, %s items; its rows: %s micros, %s segments, %s items'
                        || ' of accounts %s to %s (its own: %s)',
                        l.kind, l.amount_micros, l.segments, l.items, coalesce(s.micros, 0),
                        coalesce(s.segments, 0), coalesce(s.items, 0), s.account_id, s.other_account_id,
                        l.account_id)
       END AS "problem!",
       format('%s micros, %s segments, %s items', l.amount_micros - coalesce(s.micros, 0),
              l.segments - coalesce(s.segments, 0), l.items - coalesce(s.items, 0)) AS "difference!",
       count(*) OVER () AS "found!"
FROM ledger_entries l
FULL JOIN sums s ON s.entry_id = l.ledger_entry_id
WHERE l.ledger_entry_id IS NULL
   OR CASE WHEN l.kind IN ('topup', 'adjust') THEN s.entry_id IS NOT NULL
           ELSE (l.amount_micros, l.segments, l.items)
                    IS DISTINCT FROM (coalesce(s.micros, 0), coalesce(s.segments, 0), coalesce(s.items, 0))
                OR l.account_id IS DISTINCT FROM coalesce(s.account_id, l.account_id)
                OR l.account_id IS DISTINCT FROM coalesce(s.other_account_id, l.account_id)
      END
ORDER BY coalesce(l.ledger_entry_id, s.entry_id)
LIMIT $1
