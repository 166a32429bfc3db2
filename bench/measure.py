"""What the parts of `make bench` about answering share: CPU time of processes, loads, an nginx of the bench's own."""
import contextlib
import json
import pathlib
import socket
import subprocess
import sys

from harness.process import children, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS, ROUNDS = (2, 2) if "--quick" in sys.argv else (3, 7)
# As long a line as the gateway's, with constants where that has its own variables.
LOG = ("log_format bench escape=json '{\"time\":\"$time_iso8601\",\"request_id\":\"$request_id\",\"method\":\"$request_method\","
       "\"route\":\"/api/products\",\"target\":\"sql\",\"service\":\"sql\",\"migrated\":\"false\",\"reason\":\"flag\",\"fallback\":\"\","
       "\"status\":\"$status\",\"upstream_status\":\"$upstream_status\",\"bytes\":\"$body_bytes_sent\",\"seconds\":\"$request_time\","
       "\"upstream_seconds\":\"$upstream_response_time\"}'; map $http_upgrade $connection_header { default upgrade; '' ''; }")


def cpu_seconds(pids):
    """Of all their threads that live: the scheduler's own clock in nanoseconds, where /proc/PID/stat has hundredths of a second."""
    total = 0
    for task in (task for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(OSError):  # it has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def answers(port):
    """Something listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


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
    """With what the gateway does too: the same log, headers (WebSockets go through both) and keep-alive."""
    return (f"upstream u{port} {{ server 127.0.0.1:{upstream}; keepalive 64; }} server {{ listen 127.0.0.1:{port}; access_log access{port}.log bench; "
            f"location / {{ proxy_pass http://u{port}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection $connection_header; "
            "proxy_set_header Upgrade $http_upgrade; "
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; "
            "proxy_set_header X-Request-Id $request_id; add_header X-Data-Source sql always; add_header X-Service s always; "
            f"add_header X-Migrated false always; {more} }} }}")


def pace(port, path, body=None, seconds=SECONDS, rate=1000):
    """Answers at a steady rate: their number, failures, percentiles in microseconds (bench/pace.c)."""
    command = [ROOT / "build/bench/banyan-pace", "--port", str(port), "--path", path, "--rate", str(rate), "--seconds", str(seconds)]
    done = subprocess.run([*command, *(["--body", json.dumps(body)] if body is not None else [])], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["failures"] == 0, found
    return found


def alternate(measures):
    """ROUNDS alternating runs; what each gave, by name."""
    found = {name: [] for name in measures}
    for _ in range(ROUNDS):
        for name, measure in measures.items():
            found[name].append(measure())
    return found
