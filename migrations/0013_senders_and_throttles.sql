-- Whom the messages of a route come from, and how fast.

ALTER TABLE routes
    -- The rest of the pool that `sender` begins. A contact always hears from the same one of them.
    ADD COLUMN more_senders TEXT[] NOT NULL DEFAULT '{}',
    -- What each sender may send in a second, and in a day of UTC. Null: as much as there is.
    ADD COLUMN segments_per_second INTEGER,
    ADD COLUMN segments_per_day INTEGER,
    -- How many requests one worker may have on the wire at once. Null: as many as it likes.
    ADD COLUMN max_in_flight INTEGER,
    -- How long a whole exchange may take; never longer than the worker's own limit.
    ADD COLUMN send_timeout_ms INTEGER,
    ADD CONSTRAINT a_limit_lets_something_through CHECK
        (segments_per_second > 0 AND segments_per_day > 0 AND max_in_flight > 0 AND send_timeout_ms > 0);

-- How far each sender of a throttled route has come. All workers share a row, by the database's clock; whoever
-- marks a message of the sender locks it until the mark is committed. Written only while a route is
-- throttled.
--
-- No foreign keys, as with deliveries: nothing here may make a worker wait for a change of the route.
CREATE TABLE sender_paces (
    route_id BIGINT NOT NULL,
    sender TEXT NOT NULL,
    -- When a second's worth may leave at once again.
    full_at TIMESTAMPTZ NOT NULL,
    -- When everybody who waits for the first time has had its turn.
    line_end_at TIMESTAMPTZ NOT NULL,
    -- When everybody who found no room at its turn has had another one.
    late_end_at TIMESTAMPTZ NOT NULL,
    -- The day, of UTC, on which so many segments were marked.
    day DATE NOT NULL,
    day_segments BIGINT NOT NULL,
    PRIMARY KEY (route_id, sender),
    CONSTRAINT day_segments_are_not_negative CHECK (day_segments >= 0)
-- A mark rewrites a row in place as long as its page has room.
) WITH (fillfactor = 20);
