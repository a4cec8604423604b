-- What contacts write to us, as carriers bring it.
--
-- No foreign keys, as on what is written for each message. Rows are written once; a carrier that brings a message
-- again finds it by its own id of it.
CREATE TABLE inbound_messages (
    inbound_message_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    -- Over which it came.
    route_id BIGINT NOT NULL,
    carrier_reference TEXT NOT NULL,
    -- Whose number the sender's was when it came. Null: no contact's of the account.
    contact_id BIGINT,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL,
    -- Whether it asks to hear nothing more. The same transaction has then opted its contact out, where it has one.
    opted_out BOOLEAN NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT an_inbound_message_is_kept_once UNIQUE (route_id, carrier_reference)
);
CREATE INDEX inbound_messages_by_contact ON inbound_messages (contact_id, inbound_message_id)
    WHERE contact_id IS NOT NULL;
