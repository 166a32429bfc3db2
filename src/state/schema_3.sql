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
-- Statistics of one minute. Merged by key, so that a report over days reads each key in order.
CREATE TABLE rollup (
    module TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    side TEXT NOT NULL,
    minute INTEGER NOT NULL,
    count INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    rescued INTEGER NOT NULL,
    compared INTEGER NOT NULL,
    real INTEGER NOT NULL,
    lag INTEGER NOT NULL,
    unsettled INTEGER NOT NULL,
    explained INTEGER NOT NULL,
    histogram BLOB NOT NULL,
    PRIMARY KEY (module, kind, name, side, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollup_minute ON rollup (minute);
-- Which batches have been merged: one that is sent again is not counted twice.
CREATE TABLE rollup_writer (
    writer TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    minute INTEGER NOT NULL
) STRICT;
-- What people changed about flags at run time. A row stays after a reset, so that its version only
-- grows; `changes` NULL and `killed` 0: the flag is as its file says.
CREATE TABLE flag_override (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    changes TEXT,
    killed INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    changed_us INTEGER NOT NULL
) STRICT;
-- Since when a flag is on for everybody.
CREATE TABLE flag_full (
    name TEXT PRIMARY KEY,
    since_us INTEGER NOT NULL
) STRICT;
-- Who changed what, when and why. Lines are added and never changed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    why TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;
-- How far a verification of a collection has come, and the documents that may differ: those are
-- asked again after an interruption. What version 2 kept knew nothing of them: it begins anew.
DROP TABLE verify;
CREATE TABLE verify (
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    options TEXT NOT NULL,
    owner INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    cursor BLOB,
    compared INTEGER NOT NULL,
    scanned INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    PRIMARY KEY (pipeline, collection)
) STRICT;
CREATE TABLE verify_candidate (
    id INTEGER PRIMARY KEY,
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    identity BLOB NOT NULL,
    key BLOB,
    FOREIGN KEY (pipeline, collection) REFERENCES verify ON DELETE CASCADE
) STRICT;
CREATE INDEX verify_candidate_of ON verify_candidate (pipeline, collection);
