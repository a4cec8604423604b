-- Plugins that were installed. Every worker and every command runs these very bytes; files in a plugin directory
-- are for whoever has no need of that.
CREATE TABLE plugin_versions (
    plugin_version_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The SHA-256 of the component, in hexadecimal.
    digest TEXT NOT NULL,
    -- The plugin's own version, as it says.
    version TEXT NOT NULL,
    component BYTEA NOT NULL,
    -- What the component asks for and somebody approved: `origin https://api.example.com`, `secret token`. A worker
    -- that finds it asking for more does not load it.
    permissions TEXT[] NOT NULL,
    installed_at TIMESTAMPTZ NOT NULL,
    installed_by TEXT NOT NULL,
    CONSTRAINT a_plugin_is_a_renderer_or_a_carrier CHECK (kind IN ('renderer', 'carrier')),
    CONSTRAINT digests_are_sha_256 CHECK (digest ~ '^[0-9a-f]{64}$'),
    CONSTRAINT a_version_is_kept_once UNIQUE (name, digest)
);
-- Components are compressed already, as far as they can be.
ALTER TABLE plugin_versions ALTER COLUMN component SET STORAGE EXTERNAL;

-- Which version of each is in force. A removed plugin keeps its versions, since old deliveries name it.
CREATE TABLE plugins (
    name TEXT PRIMARY KEY,
    plugin_version_id BIGINT NOT NULL REFERENCES plugin_versions (plugin_version_id),
    changed_at TIMESTAMPTZ NOT NULL,
    changed_by TEXT NOT NULL
);

-- What each worker runs, or why it does not, for people to read.
CREATE TABLE plugin_loads (
    worker_id BIGINT NOT NULL REFERENCES workers (worker_id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- Why this version could not be loaded. Null: it is loaded.
    problem TEXT,
    loaded_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (worker_id, name)
);
