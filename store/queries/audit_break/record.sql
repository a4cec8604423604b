-- Writes down what an audit found ($1: invariants, $2: subjects, $3: problems, $4: differences, $5: when).
-- Those that were settled as they are now are left out. Gives how many of the found ones stand in the
-- table, and how many of these are new.
WITH found AS MATERIALIZED (
    SELECT q.*
    FROM unnest($1::SMALLINT[], $2::TEXT[], $3::TEXT[], $4::TEXT[])
         AS q (invariant, subject, problem, difference)
    WHERE NOT EXISTS (
        SELECT FROM audit_breaks b
        WHERE b.invariant = q.invariant AND b.subject = q.subject AND b.settled_at IS NOT NULL
          AND b.difference = q.difference)
),
recorded AS (
    INSERT INTO audit_breaks AS b (invariant, subject, problem, difference, first_seen_at, last_seen_at)
    SELECT invariant, subject, problem, difference, $5::TIMESTAMPTZ, $5
    FROM found
    -- Two audits that end together take the rows in one order.
    ORDER BY invariant, subject
    ON CONFLICT (invariant, subject) WHERE settled_at IS NULL
    DO UPDATE SET problem = excluded.problem, difference = excluded.difference,
                  last_seen_at = greatest(b.last_seen_at, excluded.last_seen_at), gone_at = NULL
    -- No transaction has touched a row before that was inserted by this one.
    RETURNING b.xmax = 0 AS is_new
)
SELECT count(*) AS "recorded!", count(*) FILTER (WHERE is_new) AS "new!" FROM recorded
