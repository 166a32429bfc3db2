-- What people set while a daemon runs, and must hold after it starts again.
CREATE TABLE control (
    pipeline TEXT PRIMARY KEY,
    paused INTEGER NOT NULL DEFAULT 0,
    writes_per_second INTEGER
) STRICT;
-- The last verification of each module that a daemon ran.
CREATE TABLE verification (
    module TEXT PRIMARY KEY,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '',
    compared INTEGER NOT NULL DEFAULT 0,
    different INTEGER NOT NULL DEFAULT 0,
    unsettled INTEGER NOT NULL DEFAULT 0,
    decoder INTEGER NOT NULL DEFAULT 0,
    not_ready INTEGER NOT NULL DEFAULT 0,
    started_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL,
    differences TEXT NOT NULL DEFAULT '[]'
) STRICT;
-- A parked change: one row a document. Nothing was parked before this version.
DROP TABLE parked;
CREATE TABLE parked (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    identity BLOB NOT NULL,
    key BLOB NOT NULL,
    reason TEXT NOT NULL,
    code INTEGER NOT NULL,
    first_lsn INTEGER NOT NULL,
    last_lsn INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1,
    deferred INTEGER NOT NULL,
    parked_us INTEGER NOT NULL,
    UNIQUE (pipeline, collection, identity)
) STRICT;
ALTER TABLE request ADD COLUMN parked_id INTEGER;
