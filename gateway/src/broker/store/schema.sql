-- What outlives the process. Times are milliseconds since 1970.

CREATE TABLE session (
    client_id    TEXT PRIMARY KEY,
    principal_id TEXT NOT NULL,
    -- For how long it waits for its client once the connection has ended, in milliseconds.
    expiry       INTEGER NOT NULL,
    -- Absent while its client is connected.
    ends_at      INTEGER,
    -- A CRC-32 of all columns.
    crc          INTEGER NOT NULL,
    -- Of MQTT, as in CONNECT. Absent in a session of a file of version 1 that no client has resumed since.
    protocol_level INTEGER CHECK (protocol_level IN (4, 5))
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (
    client_id           TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
    filter              TEXT NOT NULL,
    qos                 INTEGER NOT NULL CHECK (qos IN (0, 1)),
    no_local            INTEGER NOT NULL CHECK (no_local IN (0, 1)),
    retain_as_published INTEGER NOT NULL CHECK (retain_as_published IN (0, 1)),
    -- A CRC-32 of all this.
    crc                 INTEGER NOT NULL,
    PRIMARY KEY (client_id, filter)
) STRICT, WITHOUT ROWID;

-- QoS 1 messages on their way to a client, in their order.
CREATE TABLE queued (
    id         INTEGER PRIMARY KEY,
    client_id  TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
    -- Absent until it is sent.
    packet_id  INTEGER CHECK (packet_id BETWEEN 1 AND 65535),
    -- An MQTT 5 PUBLISH packet.
    publish    BLOB NOT NULL,
    expires_at INTEGER,
    -- A CRC-32 of all this but the two ids.
    crc        INTEGER NOT NULL
) STRICT;

CREATE INDEX queued_of_client ON queued (client_id, id);

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

CREATE TABLE retained (
    topic      TEXT PRIMARY KEY,
    publish    BLOB NOT NULL,
    expires_at INTEGER,
    crc        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
