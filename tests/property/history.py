"""Random histories: plain data (JSON), so that one can be kept, shrunk and replayed.

{"seed", "families": [...], "full": [tables with REPLICA IDENTITY FULL], "settings": {...},
 "steps": [...]}, where a step is one of
  {"do": "start"} | {"do": "stop"}         the pipeline; SIGTERM
  {"do": "sleep", "ms"}
  {"do": "begin", "session"} | {"do": "commit", "session"} | {"do": "rollback", "session"}
  {"do": "sql", "session", "family", "sql", "args"}
"""
import random

from values import random_value
from zoo import FAMILIES, quote

_SESSIONS = 3


class Generator:
    """Makes statements about some families; also used where load without an end is needed."""

    def __init__(self, rng, families):
        self._rng = rng
        self._tables = [(family, table) for family in families
                        for table in FAMILIES[family].tables]

    # Pieces of SQL

    def _value(self, column):
        if self._rng.random() < column.null:
            return "NULL", []
        return random_value(self._rng, column.kind)

    def _key_match(self, table):
        """A predicate that one row may meet."""
        parts, args = [], []
        for name in table.key:
            sql, more = random_value(self._rng, _column(table, name).kind)
            parts.append(f"{quote(name)} = {sql}")
            args += more
        return " AND ".join(parts), args

    def _some_match(self, table):
        """A predicate that some rows meet, the same ones whenever it is tried on the same data."""
        keys = " || '/' || ".join(f"{quote(name)}::text" for name in table.key)
        parts = self._rng.randint(2, 6)
        return f"abs(hashtext({keys})) %% {parts} = {self._rng.randrange(parts)}", []

    def _where(self, table):
        return self._key_match(table) if self._rng.random() < .7 else self._some_match(table)

    def _assignments(self, table, names):
        sets, args = [], []
        for name in names:
            sql, more = self._value(_column(table, name))
            sets.append(f"{quote(name)} = {sql}")
            args += more
        return ", ".join(sets), args

    # Statements, each a list of (SQL, parameters)

    def insert(self, table):
        # A multi-row statement: its rows are adjacent in the log.
        rows, args = [], []
        for _ in range(self._rng.choice([1, 1, 1, 2, 5])):
            parts = [self._value(column) for column in table.columns]
            rows.append("(" + ", ".join(sql for sql, _ in parts) + ")")
            args += [arg for _, more in parts for arg in more]
        names = ", ".join(quote(column.name) for column in table.columns)
        # A deferrable key cannot arbitrate.
        ignore = "" if table.swap else " ON CONFLICT DO NOTHING"
        return [(f"INSERT INTO {table.name} ({names}) VALUES {', '.join(rows)}{ignore}", args)]

    def _update(self, table, names, where):
        sets, args = self._assignments(table, names)
        return [(f"UPDATE {table.name} SET {sets} WHERE {where[0]}", args + where[1])]

    def update(self, table):
        plain = [column.name for column in table.columns if column.name not in table.key]
        if not plain:
            return self.change_key(table)
        names = self._rng.sample(plain, self._rng.randint(1, min(3, len(plain))))
        return self._update(table, names, self._where(table))

    def touch(self, table):
        """Writes the same value again: every other column is sent as it was, or not at all."""
        name = quote(self._rng.choice(table.columns).name)
        where, args = self._where(table)
        return [(f"UPDATE {table.name} SET {name} = {name} WHERE {where}", args)]

    def move(self, table):
        """To another parent."""
        if not table.parents:
            return self.update(table)
        return self._update(table, table.parents, self._where(table))

    def change_key(self, table):
        return self._update(table, [self._rng.choice(table.key)], self._key_match(table))

    def delete(self, table):
        where, args = self._where(table) if self._rng.random() < .3 else self._key_match(table)
        return [(f"DELETE FROM {table.name} WHERE {where}", args)]

    def replace(self, table):
        """Delete and insert of one key in one transaction, sometimes twice."""
        where, key_args = self._key_match(table)
        keys = dict(zip(table.key, key_args))
        row, args = [], []
        for column in table.columns:
            own = column.name in keys
            sql, more = ("%s", [keys[column.name]]) if own else self._value(column)
            row.append(sql)
            args += more
        columns = ", ".join(quote(column.name) for column in table.columns)
        delete = (f"DELETE FROM {table.name} WHERE {where}", key_args)
        insert = (f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join(row)})", args)
        return [delete, insert] * self._rng.choice([1, 1, 2])

    def swap(self, table):
        """Two rows exchange a key column in one transaction."""
        name = table.swap or self._rng.choice(table.key)
        column, kind = quote(name), _column(table, name).kind
        (one,), (two,) = random_value(self._rng, kind)[1], random_value(self._rng, kind)[1]
        if table.swap:
            return [("SET CONSTRAINTS ALL DEFERRED", []),
                    (f"UPDATE {table.name} SET {column} = "
                     f"(CASE {column} WHEN %s THEN %s ELSE %s END)::int"
                     f" WHERE {column} IN (%s, %s)", [one, two, one, one, two])]
        spare = _SPARE[kind]
        return [(f"UPDATE {table.name} SET {column} = %s WHERE {column} = %s", [new, old])
                for new, old in ((spare, one), (one, two), (two, spare))]

    def truncate(self, table):
        names = [table.name, *table.truncate]
        if not table.truncate and self._rng.random() < .3:
            names.append(self._rng.choice(self._tables)[1].name)
        cascade = " CASCADE"  # tables that the foreign keys reach
        return [(f"TRUNCATE {', '.join(dict.fromkeys(names))}{cascade}", [])]

    def savepoint(self, table):
        """Statements of which some are taken back, in subtransactions that may nest."""
        inside = self.statements(table, nested=True)
        end = self._rng.choice(["ROLLBACK TO s", "RELEASE s"])
        return [("SAVEPOINT s", []), *inside, (end, [])]

    def statements(self, table=None, nested=False):
        table = table or self._pick()
        kinds = [(self.insert, 28), (self.update, 24), (self.touch, 4), (self.move, 14),
                 (self.change_key, 8), (self.delete, 10), (self.replace, 4), (self.swap, 5),
                 (self.truncate, 1)]
        if not nested:
            kinds.append((self.savepoint, 5))
        make = self._rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return make(table)

    def _pick(self):
        return self._rng.choice(self._tables)[1]

    def initial_rows(self, count):
        """(family, SQL, parameters): roots first, as the tables of a family are listed."""
        for family, table in self._tables:
            for _ in range(count):
                for sql, args in self.insert(table):
                    yield family, sql, args

    def transaction(self):
        """(family, statements) of one transaction; sometimes it is empty."""
        family, table = self._rng.choice(self._tables)
        if self._rng.random() < .04:
            return family, [("SELECT txid_current()", [])] * self._rng.choice([0, 1])
        made = []
        for _ in range(self._rng.choice([1, 1, 2, 3, 6])):
            others = [t for f, t in self._tables if f == family]
            made += self.statements(table if self._rng.random() < .5 else self._rng.choice(others))
        return family, made


# A key of each kind that no pool has.
_SPARE = {"id": "9999", "small": "9999", "text_key": "spare", "short_key": "zz",
          "number_key": "9999", "uuid_key": "ffffffff-0000-4000-8000-00000000abcd"}


def _column(table, name):
    return next(column for column in table.columns if column.name == name)


def _settings(rng):
    return {"lanes": rng.randint(1, 4), "threads": rng.randint(1, 3),
            "chunk_rows": rng.choice([100, 100000]), "operations": rng.choice([1, 7, 1000]),
            "delay": rng.choice(["0ms", "5ms", "50ms"]), "fanout_documents": rng.choice([1, 2, 10000]),
            "pace_ms": rng.choice([0, 1, 5, 15]), "consistent": rng.choice([False, True])}


def _interleave(rng, transactions):
    """Steps of transactions that run in several sessions at a time, each in order."""
    waiting = list(reversed(transactions))
    open_now = {}
    while waiting or open_now:
        session = rng.randrange(_SESSIONS)
        if session not in open_now:
            if not waiting:
                continue
            open_now[session] = waiting.pop()
            yield {"do": "begin", "session": session}
            continue
        family, statements = open_now[session]
        if statements:
            sql, args = statements[0]
            open_now[session] = family, statements[1:]
            yield {"do": "sql", "session": session, "family": family, "sql": sql, "args": args}
        else:
            del open_now[session]
            yield {"do": "rollback" if rng.random() < .08 else "commit", "session": session}


def _one_after_another(rng, transactions):
    for family, statements in transactions:
        session = rng.randrange(_SESSIONS)
        yield {"do": "begin", "session": session}
        for sql, args in statements:
            yield {"do": "sql", "session": session, "family": family, "sql": sql, "args": args}
        yield {"do": "rollback" if rng.random() < .08 else "commit", "session": session}


def _insert_pipeline_steps(rng, steps):
    """The pipeline starts somewhere, stops and starts again a few times; short sleeps between."""
    moments = [(rng.choice([0, 0, rng.randrange(len(steps) + 1)]), {"do": "start"})]
    if rng.random() < .6:
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(steps) + 1)
            moments += [(at, {"do": "stop"}),
                        (rng.randrange(at, len(steps) + 1), {"do": "start"})]
    for _ in range(rng.randint(0, 6)):
        moments.append((rng.randrange(len(steps) + 1), {"do": "sleep", "ms": rng.choice([5, 50, 300])}))
    for at, step in sorted(moments, key=lambda moment: -moment[0]):
        steps.insert(at, step)


def generate(seed, long=False):
    rng = random.Random(seed)
    families = sorted(rng.sample(sorted(FAMILIES), rng.randint(2, 4)))
    generator = Generator(rng, families)
    initial = [{"do": "sql", "session": 0, "family": family, "sql": sql, "args": args}
               for family, sql, args in generator.initial_rows(rng.choice([0, 3, 8]))]
    count = rng.randint(60, 250) if long else rng.randint(20, 70)
    transactions = [generator.transaction() for _ in range(count)]
    arrange = rng.choice([_interleave, _one_after_another])
    steps = list(arrange(rng, transactions))
    _insert_pipeline_steps(rng, steps)
    full = [table.name for family in families for table in FAMILIES[family].tables
            if table.identity and rng.random() < .4]
    return {"seed": seed, "families": families, "full": full, "settings": _settings(rng),
            "steps": initial + steps}
