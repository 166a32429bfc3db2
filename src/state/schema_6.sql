-- Gateways on other machines that have asked for flags.
CREATE TABLE edge (
    name TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    seen_us INTEGER NOT NULL
) STRICT;
