-- What plugins said lately, over all workers, for people to read. The newest lines of each plugin are kept: whoever
-- writes some deletes those that are too many, so that a plugin that never stops talking fills no disk.
--
-- There are no foreign keys: a line may outlive what it names, and its writer must never wait for a lock that a
-- delivery holds on a route or a worker, nor make one wait.
CREATE TABLE plugin_logs (
    plugin_log_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plugin TEXT NOT NULL,
    -- The version that spoke, by the SHA-256 of its bytes.
    digest TEXT NOT NULL,
    -- For which route the plugin worked: a carrier for this one, a renderer for a step that goes over it. Null where
    -- lines of several were dropped.
    route_id BIGINT,
    worker_id BIGINT NOT NULL,
    -- As the plugin says. Null where lines were dropped, of whatever level.
    level TEXT,
    -- What the plugin says. Null where lines were dropped instead.
    message TEXT,
    -- How many lines were dropped here, since the plugin said more than is kept or they could not be written in time.
    dropped BIGINT NOT NULL DEFAULT 0,
    -- By the worker's clock.
    written_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT levels_are_known CHECK (level IN ('debug', 'info', 'warn', 'error')),
    CONSTRAINT level_iff_message CHECK ((level IS NULL) = (message IS NULL)),
    CONSTRAINT dropped_iff_no_message CHECK (CASE WHEN message IS NULL THEN dropped > 0 ELSE dropped = 0 END),
    CONSTRAINT messages_are_short CHECK (octet_length(message) <= 1024)
);
CREATE INDEX plugin_logs_by_plugin ON plugin_logs (plugin, plugin_log_id);
