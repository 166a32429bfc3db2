"""The part of `make bench` about answering requests: flags, OFREP, the gateway. Bound and product in one run, by the CPU time of
the processes that answer: on two cores shared with the load, requests a second say more about the load."""
import json
import socket
import statistics
import subprocess
import time

from harness.api import serving
from harness.banyan import Banyan
from harness.process import children, free_port, wait_until
from measure import LOG, ROOT, ROUNDS, Nginx, answers, microseconds, proxy_server, resident_mb

STREAMS = 200
ROUTES = {"/api/products": "0%", "/api/sampled": "5%"}
FLAGS = "features: [{name: products_mongodb, enabled: true, rollout_percentage: 50}]"


class Serving:
    def __init__(self, say, source, target, folder):
        self.say, self.source, self.target = say, source, target
        self.folder = folder / "serving"
        self.folder.mkdir()

    def own(self, name):
        """A program's own figures. 1: one of them passes its limit, and the line says so."""
        done = subprocess.run([ROOT / "build/bench" / name], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        self.say(done.stdout.rstrip())

    def flags(self):
        self.say("## Flags")
        self.say()
        self.say("Nanoseconds an evaluation, in-process; `banyan-bench-flags`, as it is.")
        self.say()
        self.say("```")
        self.own("banyan-bench-flags")
        others = subprocess.run(["node", ROOT / "tests/node/evaluators.mjs"], capture_output=True, text=True, check=True)
        for name, nanoseconds in json.loads(others.stdout).items():
            self.say(f"{name:<44} {nanoseconds:8.1f}")
        self.say("```")
        self.say()

    def comparison(self):
        self.say("## Comparison")
        self.say()
        self.say("Nanoseconds for two documents, in-process; `banyan-bench-compare`, as it is.")
        self.say()
        self.say("```")
        self.own("banyan-bench-compare")
        self.say("```")
        self.say()

    def program(self, gateway, sides):
        program = Banyan(self.folder / "banyan", {
            "source": {"uri": self.source}, "target": {"uri": self.target, "database": "serving"},
            "listen": f"127.0.0.1:{free_port()}", "ofrep": {"listen": f"127.0.0.1:{free_port()}"}, "flags": "feature-flags.yml",
            "gateway": {"listen": f"127.0.0.1:{gateway}", "workers": "1", "trusted": ["127.0.0.1"], "module": str(ROOT / "build/gateway/ngx_http_banyan_module.so")},
            "modules": {"m": {"flag": "products_mongodb", "reads": "flag", "collections": {"serving": {"table": "serving"}}, "routes": [{
                "prefix": prefix, "user": "$http_x_user_id", "compare": {"sample": sample},
                "sql": {"url": f"http://127.0.0.1:{sides}", "service": "sql"},
                "mongodb": {"url": f"http://127.0.0.1:{sides}", "service": "mongodb"}} for prefix, sample in ROUTES.items()]}}})
        (program.folder / "feature-flags.yml").write_text(FLAGS)
        return program

    def ofrep(self, program, daemon):
        address = program.config.read_text().split("ofrep:")[1].split('listen: "')[1].split('"')[0]
        script = self.folder / "ofrep.lua"
        script.write_text('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                          'wrk.body = \'{"context":{"targetingKey":"user_17"}}\'\n')
        pid = daemon.process.pid
        one = statistics.median(microseconds([pid], f"http://{address}/ofrep/v1/evaluate/flags/products_mongodb", script) for _ in range(3))
        self.say("## OFREP and HTTP")
        self.say()
        self.say("| what | figure | limit |")
        self.say("| --- | --- | --- |")
        self.say(f"| CPU of a single evaluation over OFREP, µs | {one:.1f} | 16 |")
        before, sockets = resident_mb(pid), []
        listen = program.config.read_text().split('\nlisten: "')[1].split('"')[0]
        host, port = listen.split(":")
        for _ in range(STREAMS):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: " + listen.encode() + b"\r\n\r\n")
            sockets.append(connection)
        time.sleep(3)
        self.say(f"| memory of the daemon with {STREAMS} event streams, MB (before: {before:.0f}) | {resident_mb(pid):.0f} | 64 |")
        for connection in sockets:
            connection.close()
        self.say()

    def gateway(self, program, gateway, plain, mirror):
        nginx = int((program.folder / "banyan.db.gateway/nginx.pid").read_text())
        scripts = {}
        for prefix in ROUTES:
            scripts[prefix] = self.folder / f"{prefix.rsplit('/', 1)[1]}.lua"
            scripts[prefix].write_text('local n = 0\nrequest = function()\n  n = n + 1\n  wrk.headers["X-User-Id"] = "user_" .. n\n'
                                       f'  return wrk.format("GET", "{prefix}/" .. n)\nend\n')
        cases = {"plain nginx": (plain.workers(), mirror - 1, "/api/products"), "nginx with mirror": (plain.workers(), mirror, "/api/products"),
                 "gateway": (children(nginx), gateway, "/api/products"),
                 "gateway, 5 % handed to the parallel run": (children(nginx), gateway, "/api/sampled")}
        times = {name: [] for name in cases}
        for _ in range(ROUNDS):
            for name, (pids, port, prefix) in cases.items():
                times[name].append(microseconds(pids, f"http://127.0.0.1:{port}/", scripts[prefix]))
        medians = {name: statistics.median(values) for name, values in times.items()}
        self.say("## Gateway")
        self.say()
        self.say(f"CPU of nginx's workers for a request, in front of a service that answers at once (another nginx); the same log, headers and "
                 f"keep-alive; median of {ROUNDS} alternating runs. `mirror` is nginx's own way to send a "
                 "request to a second service, for scale.")
        self.say()
        self.say("| what | µs | of plain nginx | limit |")
        self.say("| --- | --- | --- | --- |")
        for name, value in medians.items():
            self.say(f"| {name} | {value:.1f} | {value / medians['plain nginx']:.2f} | {'1.05' if name == 'gateway' else ''} |")
        self.say()

    def run(self):
        side, gateway, plain_port = free_port(), free_port(), free_port()
        service = Nginx(self.folder / "service", f"server {{ listen 127.0.0.1:{side}; access_log off; keepalive_requests 1000000; "
                        "location / { default_type application/json; return 200 '{\"id\":7,\"name\":\"lamp\",\"price\":12.5}'; } }")
        plain = Nginx(self.folder / "plain", LOG + proxy_server(plain_port, side) + proxy_server(
            plain_port + 1, side, "mirror /m; mirror_request_body off;").replace(
                "} }", f"}} location = /m {{ internal; proxy_pass http://u{plain_port + 1}$request_uri; proxy_http_version 1.1; proxy_set_header Connection ''; }} }}", 1))
        program = self.program(gateway, side)
        try:
            with serving(program) as (_, daemon):
                wait_until(lambda: answers(gateway), 20, "the gateway")
                time.sleep(1)
                self.ofrep(program, daemon)
                self.gateway(program, gateway, plain, plain_port + 1)
        finally:
            program.run("gateway", "stop")
            program.close()
            plain.close()
            service.close()
