-- Version 1 had the table, and nothing used it.
DROP TABLE fanout;
CREATE TABLE fanout (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline TEXT NOT NULL,
    collection TEXT NOT NULL,
    path TEXT NOT NULL,
    kind INTEGER NOT NULL,
    key BLOB NOT NULL,
    running INTEGER NOT NULL DEFAULT 0,
    cursor BLOB,
    documents INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pipeline, collection, path, kind, key, running)
) STRICT;
