-- 2. Per account: what is held is what live enrollments hold for later steps, what deliveries that are
-- not settled hold, and what enrolments under way have reserved. $1: how many to show.
SELECT 'account ' || a.account_id AS "subject!",
       format('held %s, in rows %s + %s + %s', b.held_micros, coalesce(e.micros, 0),
              coalesce(d.micros, 0), coalesce(o.micros, 0))
           AS "problem!",
       -- What stays the same while the account goes on: by how much the two sides differ.
       format('%s', b.held_micros - coalesce(e.micros, 0) - coalesce(d.micros, 0)) AS "difference!",
       count(*) OVER () AS "found!"
FROM accounts a
LEFT JOIN balances b USING (account_id)
LEFT JOIN (
    SELECT account_id, sum(remaining_micros) AS micros
    FROM enrollments WHERE exit_cause IS NULL GROUP BY account_id
) e USING (account_id)
LEFT JOIN (
    SELECT account_id, sum(held_micros) AS micros
    FROM deliveries WHERE settled_at IS NULL GROUP BY account_id
) d USING (account_id)
LEFT JOIN (
    SELECT account_id, sum(reserved_micros) AS micros
    FROM operations WHERE finished_at IS NULL GROUP BY account_id
) o USING (account_id)
WHERE b.held_micros
      IS DISTINCT FROM coalesce(e.micros, 0) + coalesce(d.micros, 0) + coalesce(o.micros, 0)
ORDER BY a.account_id
LIMIT $1
