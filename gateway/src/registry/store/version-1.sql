-- What the API calls have made, and what the settings file defines (`from_file`). Times are milliseconds since 1970.

CREATE TABLE thing_type (
    name          TEXT PRIMARY KEY,
    id            TEXT NOT NULL,
    description   TEXT,
    -- A JSON array of names.
    searchable    TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    deprecated_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE thing (
    name       TEXT PRIMARY KEY,
    id         TEXT NOT NULL,
    type_name  TEXT,
    -- A JSON object of texts.
    attributes TEXT NOT NULL,
    version    INTEGER NOT NULL,
    from_file  INTEGER NOT NULL CHECK (from_file IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX thing_of_type ON thing (type_name, name) WHERE type_name IS NOT NULL;
CREATE INDEX thing_of_file ON thing (name) WHERE from_file = 1;

-- The attributes again, by which Things are listed.
CREATE TABLE thing_attribute (
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    thing TEXT NOT NULL REFERENCES thing ON DELETE CASCADE,
    PRIMARY KEY (name, value, thing)
) STRICT, WITHOUT ROWID;

CREATE INDEX attribute_of_thing ON thing_attribute (thing);

CREATE TABLE thing_group (
    name        TEXT PRIMARY KEY,
    id          TEXT NOT NULL,
    parent      TEXT REFERENCES thing_group,
    description TEXT,
    -- A JSON object of texts.
    attributes  TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX group_of_parent ON thing_group (parent, name);

CREATE TABLE group_member (
    thing_group TEXT NOT NULL REFERENCES thing_group ON DELETE CASCADE,
    thing       TEXT NOT NULL REFERENCES thing ON DELETE CASCADE,
    PRIMARY KEY (thing_group, thing)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_of_thing ON group_member (thing, thing_group);

CREATE TABLE policy (
    name            TEXT PRIMARY KEY,
    default_version INTEGER NOT NULL,
    last_version    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    modified_at     INTEGER NOT NULL,
    from_file       INTEGER NOT NULL CHECK (from_file IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_version (
    policy     TEXT NOT NULL REFERENCES policy ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    document   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (policy, version)
) STRICT, WITHOUT ROWID;

-- A certificate's or a Thing group's ARN, or a Cognito identity.
CREATE TABLE policy_target (
    policy    TEXT NOT NULL REFERENCES policy ON DELETE CASCADE,
    target    TEXT NOT NULL,
    from_file INTEGER NOT NULL CHECK (from_file IN (0, 1)),
    PRIMARY KEY (policy, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX policy_of_target ON policy_target (target, policy);

CREATE TABLE certificate (
    id          TEXT PRIMARY KEY,
    pem         TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE', 'REVOKED')),
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    -- How often it was changed, AWS's `customerVersion`.
    version     INTEGER NOT NULL,
    -- `DEFAULT`, or `SNI_ONLY` for one that was registered without a CA.
    mode        TEXT NOT NULL CHECK (mode IN ('DEFAULT', 'SNI_ONLY')),
    from_file   INTEGER NOT NULL CHECK (from_file IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX certificate_by_date ON certificate (created_at, id);

CREATE TABLE thing_principal (
    thing     TEXT NOT NULL REFERENCES thing,
    principal TEXT NOT NULL,
    -- `EXCLUSIVE_THING` or `NON_EXCLUSIVE_THING`.
    type      TEXT NOT NULL,
    from_file INTEGER NOT NULL CHECK (from_file IN (0, 1)),
    PRIMARY KEY (thing, principal)
) STRICT, WITHOUT ROWID;

CREATE INDEX thing_of_principal ON thing_principal (principal, thing);

CREATE TABLE authorizer (
    name       TEXT PRIMARY KEY,
    -- JSON.
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The default authorizer that an API call has set, if any.
CREATE TABLE default_authorizer (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL
) STRICT;

CREATE TABLE domain_configuration (
    name       TEXT PRIMARY KEY,
    -- JSON.
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;
