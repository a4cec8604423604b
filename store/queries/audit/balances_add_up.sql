-- 1. Per account: what was put in is what is available, held and spent, and what is spent is what was
-- captured. $1: how many to show.
SELECT 'account ' || a.account_id AS "subject!",
       format('put in %s, on balance %s + %s + %s; captured %s, spent %s',
              coalesce(l.put_in, 0), b.available_micros, b.held_micros, b.spent_micros,
              coalesce(l.captured, 0), b.spent_micros) AS "problem!",
       -- What stays the same while the account goes on: by how much the two sides differ.
       format('%s and %s', coalesce(l.put_in, 0) - b.available_micros - b.held_micros - b.spent_micros,
              coalesce(l.captured, 0) - b.spent_micros) AS "difference!",
       count(*) OVER () AS "found!"
FROM accounts a
LEFT JOIN balances b USING (account_id)
LEFT JOIN (
    SELECT account_id,
           sum(amount_micros) FILTER (WHERE kind IN ('topup', 'adjust')) AS put_in,
           sum(amount_micros) FILTER (WHERE kind = 'capture') AS captured
    FROM ledger_entries
    GROUP BY account_id
) l USING (account_id)
WHERE b.account_id IS NULL
   OR coalesce(l.put_in, 0) <> b.available_micros + b.held_micros + b.spent_micros
   OR coalesce(l.captured, 0) <> b.spent_micros
ORDER BY a.account_id
LIMIT $1
