"""The part of `make bench` about the parallel run: what it costs to ask the other side as well and to compare, in CPU time."""
import re
import statistics
import time

from harness.api import serving
from harness.banyan import Banyan
from harness.process import children, free_port, wait_until
from measure import LOG, ROOT, ROUNDS, SECONDS, Nginx, alternate, answers, cpu_seconds, pace, proxy_server

RATE, LIMIT = 2000, 40
ALONE, BOTH = "gateway, `reads: sql`", "gateway, `reads: shadow`"
BODY = ('{"id":7,"sku":"L-7","name":"lamp","price":12.5,"in_stock":true,"tags":["light","home"],"category":{"id":3,"name":"Home"},'
        '"updated_at":"2026-02-20T21:28:18Z"}')


def service(folder, name, port):
    return Nginx(folder / name, f"server {{ listen 127.0.0.1:{port}; access_log off; keepalive_requests 1000000; location / "
                 f"{{ default_type application/json; return 200 '{BODY}'; }} }}")


def module(reads, prefix, sql, mongodb):
    return {"reads": reads, "collections": {f"c_{reads}": {"table": "serving"}}, "budget": {"per_second": 100000, "concurrent": 16}, "routes": [{
        "prefix": prefix, "compare": {"sample": "100%"}, "sql": {"url": f"http://127.0.0.1:{sql}", "service": "sql"},
        "mongodb": {"url": f"http://127.0.0.1:{mongodb}", "service": "mongodb"}}]}


def compared(api):
    """Reads whose answers of both sides were compared; it fails where one was not equal."""
    page = api.get("/metrics").expect().body.decode()
    wrong = re.findall(r"^banyan_(?:divergent|compared_lag|compared_unsettled|samples_refused)_total(?:{.*})? ([1-9].*)$", page, re.M)
    assert not wrong, wrong
    return sum(float(n) for n in re.findall(r"^banyan_compared_total{.*} (.*)$", page, re.M))


class Shadow:
    def __init__(self, say, source, target, folder):
        self.say, self.source, self.target = say, source, target
        self.folder = folder / "shadow"
        self.folder.mkdir()
        self.ports = {name: free_port() for name in ("sql", "mongodb", "gateway", "plain", "mirror")}

    def program(self):
        ports = self.ports
        return Banyan(self.folder / "banyan", {
            "source": {"uri": self.source}, "target": {"uri": self.target, "database": "shadow"}, "listen": f"127.0.0.1:{free_port()}",
            "gateway": {"listen": f"127.0.0.1:{ports['gateway']}", "workers": "1", "module": str(ROOT / "build/gateway/ngx_http_banyan_module.so")},
            "modules": {"alone": module("sql", "/alone", ports["sql"], ports["mongodb"]),
                        "both": module("shadow", "/both", ports["sql"], ports["mongodb"])}})

    def nginx(self):
        """Plain, and with a mirror to the second service."""
        ports = self.ports
        mirrored = proxy_server(ports["mirror"], ports["sql"], "mirror /m; mirror_request_body off;")
        location = ("location = /m { internal; proxy_pass http://second$request_uri; proxy_http_version 1.1; "
                    "proxy_set_header Connection ''; } }")
        return Nginx(self.folder / "plain", LOG + f"upstream second {{ server 127.0.0.1:{ports['mongodb']}; keepalive 64; }} "
                     + proxy_server(ports["plain"], ports["sql"]) + mirrored[:mirrored.rindex("}")] + location)

    def measure(self, daemon, pids, port, path):
        """CPU time a request: of nginx's workers and of the daemon, with what it does behind the answer."""
        groups = (pids, [daemon])
        before = [cpu_seconds(group) for group in groups]
        answers = pace(port, path, rate=RATE)["answers"]
        return [(cpu_seconds(group) - was) / answers * 1e6 for group, was in zip(groups, before)]

    def table(self, api, daemon, gateway, plain):
        ports = self.ports
        cases = {"plain nginx": (plain, "plain", "/both/7"), "nginx with `mirror`": (plain, "mirror", "/both/7"),
                 ALONE: (gateway, "gateway", "/alone/7"), BOTH: (gateway, "gateway", "/both/7")}
        found = alternate({name: lambda pids=pids, port=port, path=path: self.measure(daemon, pids, ports[port], path)
                           for name, (pids, port, path) in cases.items()})
        asked = ROUNDS * SECONDS * RATE
        time.sleep(2)  # what waits for a worker
        share = compared(api) / asked
        self.say("| what | nginx, µs | daemon, µs | together, µs | more than `reads: sql`, µs | limit |")
        self.say("| --- | --- | --- | --- | --- | --- |")
        alone = [sum(pair) for pair in found[ALONE]]
        for name, values in found.items():
            nginx, banyan, both = (statistics.median(column) for column in zip(*((*pair, sum(pair)) for pair in values)))
            more = statistics.median(sum(pair) - bare for pair, bare in zip(values, alone))
            self.say(f"| {name} | {nginx:.1f} | {banyan:.1f} | {both:.1f} | {f'{more:+.1f} | {LIMIT}' if name == BOTH else ' |'} |")
        self.say()
        self.say(f"{share * 100:.1f} % of the reads of the last line were compared, all of them equal; the rest was dropped.")
        self.say()

    def run(self):
        self.say("## Parallel run")
        self.say()
        self.say(f"CPU time a request of nginx's workers and of the daemon, at {RATE:,} requests a second; services (other nginx, which "
                 f"answer at once with {len(BODY)} bytes of JSON) are not counted. Every read is sampled, asked of the other side and "
                 f"compared. Median of {ROUNDS} alternating runs. `mirror` is nginx's own way to send a request to a second service, "
                 "which compares nothing. The limit is for what the comparison adds to a read that the gateway only forwards.")
        self.say()
        services = [service(self.folder, name, self.ports[name]) for name in ("sql", "mongodb")]
        plain, program = self.nginx(), self.program()
        try:
            with serving(program) as (api, daemon):
                wait_until(lambda: answers(self.ports["gateway"]), 20, "the gateway")
                master = int((program.folder / "banyan.db.gateway/nginx.pid").read_text())
                self.table(api, daemon.process.pid, children(master), plain.workers())
        finally:
            program.run("gateway", "stop")
            program.close()
            for nginx in (plain, *services):
                nginx.close()
