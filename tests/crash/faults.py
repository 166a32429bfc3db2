"""What can go wrong, one function each: done at a random moment, mended at the end of it."""
import time

# Codes that pass: write conflict, not primary (two of them), interrupted by a step-down.
_PASSING_CODES = (112, 189, 91, 11600)
_WRITES = ["insert", "update", "delete"]


class Faults:
    """The stage is a crash.Stage: pg, mongo, the proxies before them, and banyan."""

    def __init__(self, stage, rng):
        self._stage, self._rng = stage, rng
        self._all = {
            "kill": [self.kill_banyan, self.kill_target, self.kill_source],
            "cut": [self.cut_source, self.cut_target, self.refuse_source, self.refuse_target,
                    self.cut_source_in_a_message, self.cut_target_in_a_message],
            "error": [self.error_codes, self.closed_connections, self.write_concern_errors],
        }

    def plan(self, count):
        """`count` faults: each of the three kills, a cut and an error in every five."""
        planned = []
        while len(planned) < count:
            five = [*self._all["kill"], self._rng.choice(self._all["cut"]),
                    self._rng.choice(self._all["error"])]
            self._rng.shuffle(five)
            planned += five
        return planned[:count]

    def _down_time(self):
        time.sleep(self._rng.choice([0, .2, 1]))

    def kill_banyan(self):
        self._stage.kill_banyan()

    def kill_target(self):
        self._stage.mongo.kill9()
        if self._rng.random() < .3:
            self._stage.kill_banyan()
        self._down_time()
        self._stage.mongo.start()

    def kill_source(self):
        self._stage.pg.kill9()
        if self._rng.random() < .3:
            self._stage.kill_banyan()
        self._down_time()
        self._stage.pg.start()

    def cut_source(self):
        self._stage.pg_proxy.cut()

    def cut_target(self):
        self._stage.mongo_proxy.cut()

    def cut_source_in_a_message(self):
        self._stage.pg_proxy.cut_after(self._rng.randrange(1, 20000))
        time.sleep(.5)

    def cut_target_in_a_message(self):
        self._stage.mongo_proxy.cut_after(self._rng.randrange(1, 20000), self._rng.choice(["up", "down"]))
        time.sleep(.5)

    def _refuse(self, proxy):
        proxy.refuse()
        self._down_time()
        proxy.accept()

    def refuse_source(self):
        self._refuse(self._stage.pg_proxy)

    def refuse_target(self):
        self._refuse(self._stage.mongo_proxy)

    def _fail(self, **what):
        self._stage.mongo.fail(_WRITES, times=self._rng.randint(1, 5), **what)
        time.sleep(.5)
        self._stage.mongo.heal()

    def error_codes(self):
        self._fail(errorCode=self._rng.choice(_PASSING_CODES))

    def closed_connections(self):
        self._fail(closeConnection=True)

    def write_concern_errors(self):
        self._fail(writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
