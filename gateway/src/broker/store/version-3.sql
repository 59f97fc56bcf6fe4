CREATE TABLE shadow (
    thing      TEXT NOT NULL,
    -- Empty for the Thing's classic shadow.
    name       TEXT NOT NULL,
    -- That of the document, or of the last one.
    version    INTEGER NOT NULL,
    -- JSON, with the time of each value; absent once the shadow is deleted.
    document   BLOB,
    -- Seconds since 1970; absent unless the shadow is deleted.
    deleted_at INTEGER,
    -- A CRC-32 of all this.
    crc        INTEGER NOT NULL,
    PRIMARY KEY (thing, name),
    CHECK ((document IS NULL) <> (deleted_at IS NULL))
) STRICT, WITHOUT ROWID;
