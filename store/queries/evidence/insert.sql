-- Records pieces of evidence. One that contradicts as another one has before is left out. Gives how many
-- decisions were written.
WITH written AS (
    INSERT INTO evidence (account_id, workflow_id, delivery_id, attempt, witness, verdict, effect, state,
                          carrier_reference, reason, batch_id, actor, recorded_at)
    SELECT q.*, $11::UUID, $12::TEXT, $13::TIMESTAMPTZ
    FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::INTEGER[], $5::TEXT[], $6::TEXT[],
                $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[]) AS q
    ON CONFLICT DO NOTHING
    RETURNING effect
)
SELECT count(*) FILTER (WHERE effect = 'decided') AS "decided!" FROM written
