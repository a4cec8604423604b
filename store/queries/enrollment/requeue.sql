-- Takes up failed deliveries: enrols their contacts anew, each at the step that failed, and queues that
-- step. A contact whom somebody else has just enrolled, and a delivery that was just requeued, is left
-- out. Segments and prices of all steps of all contacts come as two flat lists, $12 to a contact.
WITH input AS (
    SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[],
                         $7::BIGINT[], $8::TIMESTAMPTZ[], $9::TIMESTAMPTZ[], $10::TEXT[])
             WITH ORDINALITY
             AS q (failed_id, contact_id, position, held_segments, held_micros, remaining_segments,
                   remaining_micros, due_at, expires_at, ticket_id, place)
),
enrolled AS (
    INSERT INTO enrollments (account_id, workflow_id, contact_id, epoch, exclusive, step_segments,
                             step_micros, first_position, position, requeued_delivery_id, revision,
                             remaining_segments, remaining_micros, hold_entry_id, enrolled_by, enrolled_at)
    SELECT $11::BIGINT, $13::BIGINT, q.contact_id, $14::BIGINT, $15::BOOLEAN,
           ($16::INTEGER[])[(q.place - 1) * $12 + 1 : q.place * $12],
           ($17::BIGINT[])[(q.place - 1) * $12 + 1 : q.place * $12],
           q.position, q.position, q.failed_id, $18::BIGINT,
           q.remaining_segments, q.remaining_micros, $19::BIGINT, $20::TEXT, $21::TIMESTAMPTZ
    FROM input q
    ORDER BY q.place
    ON CONFLICT DO NOTHING
    RETURNING enrollment_id, contact_id, requeued_delivery_id
)
INSERT INTO deliveries (account_id, workflow_id, enrollment_id, contact_id, position, due_at, expires_at,
                        held_segments, held_micros, ticket_id, created_at)
SELECT $11::BIGINT, $13::BIGINT, e.enrollment_id, e.contact_id, q.position, q.due_at, q.expires_at,
       q.held_segments, q.held_micros, q.ticket_id, $21::TIMESTAMPTZ
FROM enrolled e JOIN input q ON q.failed_id = e.requeued_delivery_id
RETURNING delivery_id, contact_id, ticket_id AS "ticket_id!", due_at
