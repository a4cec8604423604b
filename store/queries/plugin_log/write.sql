-- Writes lines in the given order, and deletes what is then too much of the plugins that they are of. One statement, so
-- that the table never holds more, apart from what several workers write in the same moment, which the next of them
-- deletes.
WITH said AS (
    SELECT q.*
    FROM unnest($2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BIGINT[], $8::TIMESTAMPTZ[])
         WITH ORDINALITY AS q (plugin, digest, route_id, level, message, dropped, written_at, place)
),
surplus AS (
    SELECT l.plugin_log_id
    FROM (SELECT plugin, count(*) AS lines FROM said GROUP BY plugin) s
    CROSS JOIN LATERAL (
        SELECT plugin_log_id FROM plugin_logs
        WHERE plugin = s.plugin
        ORDER BY plugin_log_id DESC
        OFFSET greatest($9::BIGINT - s.lines, 0)
    ) l
),
-- What another worker is deleting just now need not be waited for.
ours AS (
    SELECT l.plugin_log_id FROM plugin_logs l JOIN surplus USING (plugin_log_id) FOR UPDATE OF l SKIP LOCKED
),
deleted AS (
    DELETE FROM plugin_logs l USING ours WHERE l.plugin_log_id = ours.plugin_log_id
)
INSERT INTO plugin_logs (plugin, digest, route_id, worker_id, level, message, dropped, written_at)
SELECT plugin, digest, route_id, $1, level, message, dropped, written_at FROM said ORDER BY place
