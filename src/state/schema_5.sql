-- What SQL and MongoDB disagreed about: one row a cause (fingerprint of operation or route, path
-- and kind), with its newest examples.
CREATE TABLE divergence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    module TEXT NOT NULL,
    subject TEXT NOT NULL,
    fingerprint INTEGER NOT NULL,
    shape TEXT NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    analyzed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (module, subject, fingerprint)
) STRICT;
CREATE INDEX divergence_by_last ON divergence (last_us);
CREATE TABLE divergence_example (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    divergence INTEGER NOT NULL REFERENCES divergence (id) ON DELETE CASCADE,
    at_us INTEGER NOT NULL,
    path TEXT NOT NULL,
    sql TEXT,
    mongodb TEXT,
    request TEXT NOT NULL,
    parameters TEXT,
    reproducer TEXT NOT NULL,
    collection TEXT,
    key BLOB,
    sql_document TEXT,
    mongodb_document TEXT,
    user BLOB
) STRICT;
CREATE INDEX divergence_example_by_cause ON divergence_example (divergence);
CREATE INDEX divergence_example_by_time ON divergence_example (at_us);
CREATE INDEX divergence_example_by_user ON divergence_example (user) WHERE user IS NOT NULL;
