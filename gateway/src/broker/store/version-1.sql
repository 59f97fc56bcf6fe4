-- What outlives the process. Times are milliseconds since 1970.

CREATE TABLE session (
    client_id    TEXT PRIMARY KEY,
    principal_id TEXT NOT NULL,
    -- For how long it waits for its client once the connection has ended, in milliseconds.
    expiry       INTEGER NOT NULL,
    -- Absent while its client is connected.
    ends_at      INTEGER,
    -- A CRC-32 of all columns.
    crc          INTEGER NOT NULL
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

CREATE TABLE retained (
    topic      TEXT PRIMARY KEY,
    publish    BLOB NOT NULL,
    expires_at INTEGER,
    crc        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
