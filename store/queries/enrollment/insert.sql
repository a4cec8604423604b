-- Enrols contacts and queues their first deliveries. A contact whom somebody else has just enrolled is
-- left out. Segments and prices of all steps of all contacts come as two flat lists, $12 to a contact.
WITH input AS (
    SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[],
                         $6::TIMESTAMPTZ[], $7::TIMESTAMPTZ[], $8::TEXT[])
             WITH ORDINALITY
             AS q (contact_id, held_segments, held_micros, remaining_segments, remaining_micros, due_at,
                   expires_at, ticket_id, place)
),
enrolled AS (
    INSERT INTO enrollments (account_id, workflow_id, contact_id, epoch, exclusive, step_segments,
                             step_micros, position, remaining_segments, remaining_micros,
                             hold_entry_id, enrolled_by, enrolled_at, revision)
    SELECT $9::BIGINT, $10::BIGINT, q.contact_id, $11::BIGINT, $13::BOOLEAN,
           ($14::INTEGER[])[(q.place - 1) * $12 + 1 : q.place * $12],
           ($15::BIGINT[])[(q.place - 1) * $12 + 1 : q.place * $12],
           1, q.remaining_segments, q.remaining_micros, $16::BIGINT, $17::TEXT, $18::TIMESTAMPTZ, $19::BIGINT
    FROM input q
    ORDER BY q.place
    ON CONFLICT DO NOTHING
    RETURNING enrollment_id, contact_id
)
INSERT INTO deliveries (account_id, workflow_id, enrollment_id, contact_id, position, due_at, expires_at,
                        held_segments, held_micros, ticket_id, created_at)
SELECT $9::BIGINT, $10::BIGINT, e.enrollment_id, e.contact_id, 1, q.due_at, q.expires_at, q.held_segments,
       q.held_micros, q.ticket_id, $18::TIMESTAMPTZ
FROM enrolled e JOIN input q USING (contact_id)
RETURNING delivery_id, contact_id, ticket_id AS "ticket_id!", due_at
