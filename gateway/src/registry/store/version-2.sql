-- Billing groups, and the tags of what can have them.

CREATE TABLE billing_group (
    name        TEXT PRIMARY KEY,
    id          TEXT NOT NULL,
    description TEXT,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE thing ADD COLUMN billing_group TEXT REFERENCES billing_group ON DELETE SET NULL;

CREATE INDEX thing_of_billing_group ON thing (billing_group, name) WHERE billing_group IS NOT NULL;

CREATE TABLE tag (
    -- What comes before the name in the ARN of what has the tag, and the name.
    kind     TEXT NOT NULL,
    resource TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (kind, resource, key)
) STRICT, WITHOUT ROWID;
