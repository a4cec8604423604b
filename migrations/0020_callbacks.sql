-- Where carriers report to: each route has an address whose last part nobody can guess.

-- 128 bits of the random numbers that identifiers are made of, which come from the operating system. In decimal
-- digits, so that whatever hides phone numbers (logs, reasons, what plugins say) hides it as well.
CREATE FUNCTION new_callback_token() RETURNS TEXT LANGUAGE SQL VOLATILE AS $$
    SELECT string_agg(lpad(get_byte(drawn.octets, place)::TEXT, 3, '0'), '' ORDER BY place)
    FROM (SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) AS octets) AS drawn,
         generate_series(0, 15) AS place
$$;

-- The default gives every route that there is one of its own.
ALTER TABLE routes
    ADD COLUMN callback_token TEXT NOT NULL DEFAULT new_callback_token(),
    ADD CONSTRAINT callback_tokens_are_digits CHECK (callback_token ~ '^[0-9]{48}$'),
    ADD CONSTRAINT a_callback_token_is_of_one_route UNIQUE (callback_token);
