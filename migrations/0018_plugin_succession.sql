-- What a worker goes back to when it cannot load the version of a plugin that is in force.
ALTER TABLE plugin_versions
    -- The version that was in force when this one was first installed. One that had been rolled back by then was not,
    -- so that nobody comes back to it. Null: none was, or the version is older than this column.
    ADD COLUMN replaced_id BIGINT REFERENCES plugin_versions (plugin_version_id),
    ADD CONSTRAINT versions_replace_older_ones CHECK (replaced_id < plugin_version_id);

ALTER TABLE plugin_loads
    -- The digest of what the worker runs: the version that it tried, or, with a problem, an earlier one. Null: nothing
    -- of that name, or a worker older than this column wrote the row.
    ADD COLUMN runs TEXT;
