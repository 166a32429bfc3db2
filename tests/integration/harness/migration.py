"""A module to migrate, for the tests of `banyan run`: tables, a mapping, and what came of it.

The fixture `migrate` is imported by the test files that use it.
"""
import contextlib
import copy

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion

from .banyan import Banyan
from .compare import differences
from .process import wait_until

MODULE = "shop"
_CODEC = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS,
                      uuid_representation=bson.binary.UuidRepresentation.STANDARD)


def merged(base, more):
    """`more` over `base`, section by section."""
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Migration:
    """One program with one module over one pair of databases."""

    def __init__(self, make, pg, mongo, target_uri, collections, sections, module=MODULE):
        self.pg, self.mongo, self.module = pg, mongo, module
        self._make, self._target_uri = make, target_uri
        self.config = copy.deepcopy(merged({
            "source": {"uri": pg.uri},
            "target": {"uri": target_uri, "database": mongo.name},
            "modules": {module: {"collections": collections}}}, sections))
        self.program: Banyan = make(self.config)

    def run(self, *options, timeout=60, **more):
        return self.program.run("run", self.module, *options, timeout=timeout, **more)

    def snapshot(self):
        return self.run("--snapshot-only").expect(0)

    def catch_up(self):
        return self.run("--catch-up").expect(0)

    def start(self, *options, wait=True, **more):
        """In the background; returns when it streams."""
        running = self.program.start("run", self.module, *options, **more)
        if wait:
            running.wait_for(r"streaming: |catching up: ", 30)
        return running

    @contextlib.contextmanager
    def streaming(self):
        """Streams while the block runs; then it is stopped, which drains."""
        running = self.start()
        yield running
        running.stop().expect(0)
        self.catch_up()

    def collection(self, name):
        return self.mongo.get_collection(name, codec_options=_CODEC)

    def documents(self, name):
        """In the order of _id, as the server sorts it."""
        return list(self.collection(name).find().sort("_id", 1))

    def document(self, name, identity):
        return self.collection(name).find_one({"_id": identity})

    def wait_for_document(self, name, query, timeout=20):
        return wait_until(lambda: self.collection(name).find_one(query), timeout, f"{query} in {name}")

    def assert_like_fresh(self):
        """The documents are those of a fresh snapshot of the same mapping, byte for byte."""
        database = self.mongo.client[self.mongo.name + "_fresh"]
        config = merged(self.config, {"target": {"database": database.name}})
        config["modules"] = {"fresh": self.config["modules"][self.module]}
        try:
            self._make(config).run("run", "fresh", "--snapshot-only").expect(0)
            found = differences(self.mongo, database)
        finally:
            self.mongo.client.drop_database(database.name)
        assert not found, "\n".join(found)


@pytest.fixture
def migrate(pg, mongo, mongo_server, banyan):
    """migrate({collection: mapping, ...}, "CREATE TABLE ...", target={...}, ...)."""

    def make(collections, ddl=None, **sections):
        if ddl:
            pg.execute(ddl)
        return Migration(banyan, pg, mongo, mongo_server.uri(), collections, sections)

    return make
