-- Whoever says that a message was sent which only waits to be sent again is believed, so that it is not sent twice.

ALTER TABLE evidence DROP CONSTRAINT effect_is_known;
ALTER TABLE evidence ADD CONSTRAINT effect_is_known CHECK
    (effect IN ('decided', 'agreed', 'contradicted', 'overruled'));
