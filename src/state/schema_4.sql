-- Who answers a module's requests, as people set it at run time; NULL: as configured.
CREATE TABLE routing (
    module TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    reads TEXT,
    writes TEXT,
    fallback INTEGER
) STRICT;
