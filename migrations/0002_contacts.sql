-- People with a phone number.
CREATE TABLE contacts (
    contact_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- No foreign key: its check for each row would cost more than the rest of an import. The import
    -- locks the account, and accounts are never removed.
    account_id BIGINT NOT NULL,
    -- E.164, with the plus sign.
    phone TEXT NOT NULL,
    -- Template fields: one flat object of strings.
    fields JSONB NOT NULL DEFAULT '{}',
    -- An IANA name, checked when the contact is imported.
    time_zone TEXT NOT NULL,
    -- Set when the contact asked to hear nothing more. Every mark reads it under lock. By the
    -- database's clock (`clock_timestamp()` under the row's lock), to be compared with `marked_at`.
    opted_out_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT a_phone_is_one_contact_of_an_account UNIQUE (account_id, phone),
    CONSTRAINT phone_is_e164 CHECK (phone ~ '^\+[1-9][0-9]{1,14}$'),
    CONSTRAINT fields_are_an_object CHECK (jsonb_typeof(fields) = 'object')
);
-- Lists and selections go through an account's contacts page by page.
CREATE INDEX contacts_by_account ON contacts (account_id, contact_id);
