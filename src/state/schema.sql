CREATE TABLE pipeline (
    name TEXT PRIMARY KEY,
    slot TEXT NOT NULL,
    publication TEXT NOT NULL,
    system_id TEXT NOT NULL,
    timeline INTEGER NOT NULL,
    slot_state INTEGER NOT NULL DEFAULT 0,
    checkpoint INTEGER NOT NULL DEFAULT 0,
    checkpoint_us INTEGER NOT NULL DEFAULT 0,
    received INTEGER NOT NULL DEFAULT 0,
    applied INTEGER NOT NULL DEFAULT 0,
    written INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    refreshed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE collection (
    pipeline TEXT NOT NULL REFERENCES pipeline,
    name TEXT NOT NULL,
    module TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    phase INTEGER NOT NULL DEFAULT 0,
    wipe INTEGER NOT NULL DEFAULT 0,
    catch_up_lsn INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    error_lsn INTEGER NOT NULL DEFAULT 0,
    changed_us INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline, name)
) STRICT;
CREATE TABLE chunk (
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    number INTEGER NOT NULL,
    lower BLOB,
    upper BLOB,
    done INTEGER NOT NULL DEFAULT 0,
    documents INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline, collection, number),
    FOREIGN KEY (pipeline, collection) REFERENCES collection
) STRICT;
CREATE TABLE parked (
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    key BLOB NOT NULL,
    reason TEXT NOT NULL,
    code INTEGER NOT NULL,
    first_lsn INTEGER NOT NULL,
    last_lsn INTEGER NOT NULL,
    operation BLOB,
    parked_us INTEGER NOT NULL,
    PRIMARY KEY (pipeline, collection, key)
) STRICT;
CREATE TABLE fanout (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    path TEXT NOT NULL,
    key BLOB NOT NULL,
    cursor BLOB,
    generation INTEGER NOT NULL DEFAULT 1,
    UNIQUE (pipeline, collection, path, key)
) STRICT;
CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    kind TEXT NOT NULL,
    collection TEXT NOT NULL,
    key BLOB NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
CREATE TABLE verify (
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    options TEXT NOT NULL,
    direction INTEGER NOT NULL,
    cursor BLOB,
    compared INTEGER NOT NULL,
    different INTEGER NOT NULL,
    unsettled INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    PRIMARY KEY (pipeline, collection)
) STRICT;
