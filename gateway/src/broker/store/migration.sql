ALTER TABLE session ADD COLUMN protocol_level INTEGER CHECK (protocol_level IN (4, 5));

CREATE TABLE queued_shared (
    id         INTEGER PRIMARY KEY,
    filter     TEXT NOT NULL,
    publish    BLOB NOT NULL,
    expires_at INTEGER,
    crc        INTEGER NOT NULL
) STRICT;

CREATE INDEX queued_shared_of_filter ON queued_shared (filter, id);
