"""What the parallel run has compared and found, in words."""
import decimal
import json
import pathlib
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/integration"))

from harness.process import HarnessError, wait_until  # noqa: E402  (needs the path above)
from show import say  # noqa: E402

EXAMPLES_TOLD = 3


class Comparison:
    """Of a daemon at `address`; `banyan(arguments...)` runs a command."""

    def __init__(self, address, banyan):
        self._address, self._banyan = address, banyan

    def _json(self, *arguments):
        return json.loads(self._banyan(*arguments, "--json").out, parse_float=decimal.Decimal)

    def _metrics(self):
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def count(self, metric):
        """A counter of /metrics, all its labels together."""
        return sum(int(float(n)) for n in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", self._metrics(), re.M))

    def compared(self):
        return self.count("banyan_compared_total")

    def different(self):
        return self.count("banyan_divergent_total")

    def causes(self):
        """Kinds of differences with their examples, the most frequent first."""
        return [self._json("divergences", "show", str(d["id"])) for d in self._json("divergences", "list")]

    def wait_for_causes(self, seconds):
        """The same, once there is one; where there is none, what became of the samples is said."""
        try:
            return wait_until(self.causes, seconds, "a difference is found", 0.5)
        except HarnessError:
            say("\n".join(re.findall(r"^banyan_(?:compared|not_compared|shadow|samples|divergent)\w*(?:_total|waiting).*[^0]$",
                                     self._metrics(), re.M)))
            raise

    @staticmethod
    def tell(cause):
        say(f"{cause['name']}: {cause['path'] or 'the whole answer'} is a {cause['kind']}, {cause['count']} times")
        for example in cause["examples"][:EXAMPLES_TOLD]:
            path = re.search(r"(/api/[^']*)", example["reproducer"] or "")
            say(f"    GET {path[1] if path else '?'}: {example['path']} is {json_text(example['sql'])} on SQL,"
                f" {json_text(example['mongodb'])} on MongoDB")

    def understood(self, cause, why):
        self._banyan("divergences", "analyze", str(cause["id"]), "--why", why)


def json_text(value):
    return str(value) if isinstance(value, (decimal.Decimal, int)) else json.dumps(value, ensure_ascii=False)
