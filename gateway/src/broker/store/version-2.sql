-- Of MQTT, as in CONNECT. Absent in a session of a file of version 1 that no client has resumed since.
ALTER TABLE session ADD COLUMN protocol_level INTEGER CHECK (protocol_level IN (4, 5));

-- QoS 1 messages that the members of a shared subscription have not acknowledged, in their order.
CREATE TABLE queued_shared (
    id         INTEGER PRIMARY KEY,
    -- With `$share/` and the group.
    filter     TEXT NOT NULL,
    -- An MQTT 5 PUBLISH packet.
    publish    BLOB NOT NULL,
    expires_at INTEGER,
    -- A CRC-32 of all this but the id.
    crc        INTEGER NOT NULL
) STRICT;

CREATE INDEX queued_shared_of_filter ON queued_shared (filter, id);
