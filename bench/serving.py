"""The part of `make bench` about answering requests: flags, OFREP, the gateway. Bound and product in one run, by the CPU time of
the processes that answer: on two cores shared with the load, requests a second say more about the load."""
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

from harness.api import serving
from harness.banyan import Banyan
from harness.process import children, free_port, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")
SECONDS, ROUNDS, STREAMS = 3, 7, 200
FLAGS = "features: [{name: products_mongodb, enabled: true, rollout_percentage: 50}]"
# As long a line as the gateway's, with constants where that has its own variables.
LOG = ("log_format bench escape=json '{\"time\":\"$time_iso8601\",\"request_id\":\"$request_id\",\"method\":\"$request_method\","
       "\"route\":\"/api/products\",\"target\":\"sql\",\"service\":\"sql\",\"migrated\":\"false\",\"reason\":\"flag\",\"fallback\":\"\","
       "\"status\":\"$status\",\"upstream_status\":\"$upstream_status\",\"bytes\":\"$body_bytes_sent\",\"seconds\":\"$request_time\","
       "\"upstream_seconds\":\"$upstream_response_time\"}';")


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def load(url, script=None, connections=8):
    """Requests answered by wrk's load."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{SECONDS}s", url]
    done = subprocess.run([*command[:1], *(["-s", script] if script else []), *command[1:]], capture_output=True, text=True, check=True)
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return int(done.stdout.split(" requests in")[0].split()[-1])


def microseconds(pids, url, script=None):
    """CPU time a request of the processes that answer."""
    before = cpu_seconds(pids)
    requests = load(url, script)
    return (cpu_seconds(pids) - before) / requests * 1e6


class Nginx:
    """An nginx of the bench's own."""

    def __init__(self, folder, http):
        self.folder = folder
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"user root; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{ worker_connections 4096; }}\n"
            f"http {{ {http} }}\n")
        subprocess.run(["/usr/sbin/nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"], check=True)
        self.master = int(wait_until(lambda: (folder / "pid").exists() and (folder / "pid").read_text().strip(), 10, "nginx"))

    def workers(self):
        return children(self.master)

    def close(self):
        subprocess.run(["/usr/sbin/nginx", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf", "-s", "stop"], check=False)


def proxy_server(port, upstream, more=""):
    return (f"upstream u{port} {{ server 127.0.0.1:{upstream}; keepalive 64; }} server {{ listen 127.0.0.1:{port}; access_log access{port}.log bench; "
            f"location / {{ proxy_pass http://u{port}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ''; "
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; "
            "proxy_set_header X-Request-Id $request_id; add_header X-Data-Source sql always; add_header X-Service s always; "
            f"add_header X-Migrated false always; {more} }} }}")


class Serving:
    def __init__(self, say, source, target):
        self.say, self.source, self.target = say, source, target
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="banyan-bench-serving-"))

    def flags(self):
        self.say("## Flags")
        self.say()
        self.say("Nanoseconds an evaluation, in-process; `banyan-bench-flags`, as it is.")
        self.say()
        self.say("```")
        done = subprocess.run([ROOT / "build/bench/banyan-bench-flags"], capture_output=True, text=True, check=True)
        self.say(done.stdout.rstrip())
        others = subprocess.run(["node", ROOT / "tests/node/evaluators.mjs"], capture_output=True, text=True, check=True)
        for name, nanoseconds in json.loads(others.stdout).items():
            self.say(f"{name:<44} {nanoseconds:8.1f}")
        self.say("```")
        self.say()

    def program(self, gateway, sides):
        program = Banyan(self.folder / "banyan", {
            "source": {"uri": self.source}, "target": {"uri": self.target, "database": "serving"},
            "listen": f"127.0.0.1:{free_port()}", "ofrep": {"listen": f"127.0.0.1:{free_port()}"}, "flags": "feature-flags.yml",
            "gateway": {"listen": f"127.0.0.1:{gateway}", "workers": "1", "trusted": ["127.0.0.1"], "module": str(ROOT / "build/gateway/ngx_http_banyan_module.so")},
            "modules": {"m": {"flag": "products_mongodb", "reads": "flag", "collections": {"serving": {"table": "serving"}}, "routes": [{
                "prefix": "/api/products", "user": "$http_x_user_id",
                "sql": {"url": f"http://127.0.0.1:{sides}", "service": "sql"},
                "mongodb": {"url": f"http://127.0.0.1:{sides}", "service": "mongodb"}}]}}})
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
        script = self.folder / "users.lua"
        script.write_text('local n = 0\nrequest = function()\n  n = n + 1\n  wrk.headers["X-User-Id"] = "user_" .. n\n'
                          '  return wrk.format("GET", "/api/products/" .. n)\nend\n')
        cases = {"plain nginx": (plain.workers(), mirror - 1), "nginx with mirror": (plain.workers(), mirror), "gateway": (children(nginx), gateway)}
        times = {name: [] for name in cases}
        for _ in range(ROUNDS):
            for name, (pids, port) in cases.items():
                times[name].append(microseconds(pids, f"http://127.0.0.1:{port}/", script))
        medians = {name: statistics.median(values) for name, values in times.items()}
        self.say("## Gateway")
        self.say()
        self.say(f"CPU of nginx's workers for a request, in front of a service that answers at once (another nginx); the same log, headers and "
                 f"keep-alive; median of {ROUNDS} alternating runs. Limit for the gateway: 1.05 of plain nginx. `mirror` is nginx's own way to send a "
                 "request to a second service, for scale.")
        self.say()
        self.say("| what | µs | of plain nginx |")
        self.say("| --- | --- | --- |")
        for name, value in medians.items():
            self.say(f"| {name} | {value:.1f} | {value / medians['plain nginx']:.2f} |")
        self.say()

    def run(self):
        self.flags()
        side, gateway, plain_port = free_port(), free_port(), free_port()
        service = Nginx(self.folder / "service", f"server {{ listen 127.0.0.1:{side}; access_log off; keepalive_requests 1000000; "
                        "location / { default_type application/json; return 200 '{\"id\":7,\"name\":\"lamp\",\"price\":12.5}'; } }")
        plain = Nginx(self.folder / "plain", LOG + proxy_server(plain_port, side) + proxy_server(
            plain_port + 1, side, "mirror /m; mirror_request_body off;").replace(
                "} }", f"}} location = /m {{ internal; proxy_pass http://u{plain_port + 1}$request_uri; proxy_http_version 1.1; proxy_set_header Connection ''; }} }}", 1))
        program = self.program(gateway, side)
        try:
            with serving(program) as (_, daemon):
                wait_until(lambda: socket.create_connection(("127.0.0.1", gateway), 1), 20, "the gateway")
                time.sleep(1)
                self.ofrep(program, daemon)
                self.gateway(program, gateway, plain, plain_port + 1)
        finally:
            program.run("gateway", "stop")
            program.close()
            plain.close()
            service.close()
