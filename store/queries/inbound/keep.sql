-- Keeps messages from contacts, in one order, so that two batches never wait for each other in a circle. Gives those
-- that no earlier message has the carrier's id of.
INSERT INTO inbound_messages (account_id, route_id, carrier_reference, contact_id, sender, recipient, text, opted_out,
                              received_at)
SELECT DISTINCT ON (m.route_id, m.carrier_reference)
       m.account_id, m.route_id, m.carrier_reference, m.contact_id, m.sender, m.recipient, m.text, m.opted_out,
       $9::TIMESTAMPTZ
FROM unnest($1::BIGINT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BOOLEAN[])
     WITH ORDINALITY
     AS m (account_id, route_id, carrier_reference, contact_id, sender, recipient, text, opted_out, place)
ORDER BY m.route_id, m.carrier_reference, m.place
ON CONFLICT (route_id, carrier_reference) DO NOTHING
RETURNING route_id, carrier_reference
