#!/usr/bin/env python3
"""The shop's customers: reads by many users, and orders that are read back at once, over HTTP.

traffic.py --url http://127.0.0.1:8080 [--rate 120] [--seconds 60] [--users 2000] [--seed 1]
           [--products 8999] [--spare 2000]

Runs until --seconds have passed or SIGTERM or SIGINT. Every half second one line of JSON says what
the answers since the last line were: statuses, who answered (X-Data-Source), fallbacks
(X-Banyan-Fallback), latencies, orders placed and read back. An answer that is neither 2xx nor 3xx,
an order that cannot be read back, a connection that fails: each is an error, and named. The same
seed asks for the same things.
"""
import argparse
import collections
import contextlib
import http.client
import json
import random
import signal
import threading
import time
import urllib.parse

READERS, BUYERS = 4, 1
ORDERS_A_SECOND = 4
WINDOW_SECONDS = 0.5
TIMEOUT_SECONDS = 10
ERRORS_NAMED = 20  # in a line; the rest is counted


class Window:
    """What came in since the last line. Any thread, under the owner's lock."""

    def __init__(self):
        self.reads = self.orders = self.read_back = self.error_count = 0
        self.statuses, self.sources, self.fallbacks = (collections.Counter() for _ in range(3))
        self.read_back_sources = collections.Counter()
        self.milliseconds, self.errors = [], []
        self.last_mongodb = None

    def error(self, text):
        self.error_count += 1
        if len(self.errors) < ERRORS_NAMED:
            self.errors.append(text)


class Client(threading.Thread):
    """One keep-alive connection; asks at a steady pace until the stop, one request at a time."""

    def __init__(self, traffic, rate, seed):
        super().__init__(daemon=True)
        self.traffic, self.rate, self.random = traffic, rate, random.Random(seed)
        self.connection = http.client.HTTPConnection(traffic.address, timeout=TIMEOUT_SECONDS)

    def run(self):
        due = time.monotonic() + self.random.random() / self.rate
        while not self.traffic.stop.wait(max(0, due - time.monotonic())):
            self.act()
            due = max(due + 1 / self.rate, time.monotonic() - 1)
        self.connection.close()

    def ask(self, method, path, user, body=None):
        """(status, headers, body), or None after the error was noted."""
        headers = {"X-User-Id": user} | ({"Content-Type": "application/json"} if body else {})
        began = time.monotonic()
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            result = answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            with self.traffic.lock:
                self.traffic.window.error(f"{method} {path}: {error!r}")
            return None
        self.note(method, path, result, began)
        return result

    def note(self, method, path, result, began):
        status, headers, _ = result
        source, fallback = headers.get("X-Data-Source"), headers.get("X-Banyan-Fallback")
        with self.traffic.lock:
            window = self.traffic.window
            window.statuses[status] += 1
            window.milliseconds.append(round((time.monotonic() - began) * 1000, 2))
            if not 200 <= status < 400:
                window.error(f"{method} {path}: {status} from {source}")
            if fallback:
                window.fallbacks[fallback] += 1
            if source == "mongodb":
                window.last_mongodb = max(window.last_mongodb or 0, began)


class Reader(Client):
    """A browser of the shop: each request may be of another user."""

    def path(self):
        kind = self.random.random()
        if kind < 0.35:
            # Most interest is in few products.
            return f"/api/products/{1 + int(self.traffic.products * self.random.random() ** 2)}"
        if kind < 0.45:
            return f"/api/products?category={self.random.randint(21, 300)}&limit=20"
        table = "orders" if kind < 0.80 else "customers"
        return f"/api/{table}/{self.random.randint(1, self.traffic.spare)}"

    def act(self):
        result = self.ask("GET", self.path(), f"user-{self.random.randint(1, self.traffic.users)}")
        if result:
            with self.traffic.lock:
                self.traffic.window.reads += 1
                self.traffic.window.sources[result[1].get("X-Data-Source")] += 1


class Buyer(Client):
    """Places an order and looks at it at once, as every shop's page does."""

    def act(self):
        user = f"buyer-{self.random.randint(1, 50)}"
        items = [{"productId": self.random.randint(1, self.traffic.products), "quantity": self.random.randint(1, 4)}
                 for _ in range(self.random.randint(1, 3))]
        order = {"customerId": self.random.randint(1, self.traffic.spare), "items": items}
        placed = self.ask("POST", "/api/orders", user, json.dumps(order))
        if not placed or placed[0] != 201:
            return
        with self.traffic.lock:
            self.traffic.window.orders += 1
        location = placed[1]["Location"]
        seen = self.ask("GET", location, user)
        if not seen or seen[0] != 200:
            return
        same = json.loads(seen[2])["items"] == json.loads(placed[2])["items"]
        with self.traffic.lock:
            window = self.traffic.window
            window.read_back += same
            window.read_back_sources[seen[1].get("X-Data-Source")] += 1
            if not same:
                window.error(f"GET {location}: not the order that was placed")


class Traffic:
    def __init__(self, arguments):
        rate, seed = arguments.rate, arguments.seed
        self.address, self.users = urllib.parse.urlsplit(arguments.url).netloc, arguments.users
        self.products, self.spare = arguments.products, arguments.spare
        self.lock, self.stop, self.window = threading.Lock(), threading.Event(), Window()
        self.clients = [Reader(self, rate / READERS, seed * 100 + n) for n in range(READERS)]
        self.clients += [Buyer(self, ORDERS_A_SECOND / BUYERS, seed * 100 + READERS + n) for n in range(BUYERS)]

    def run(self, seconds):
        end = time.monotonic() + seconds if seconds else None
        for client in self.clients:
            client.start()
        while not self.stop.wait(WINDOW_SECONDS) and (not end or time.monotonic() < end):
            self.print_line()
        self.stop.set()
        for client in self.clients:
            client.join(TIMEOUT_SECONDS + 1)
        self.print_line()

    def print_line(self):
        with self.lock:
            window, self.window = self.window, Window()
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"time": time.monotonic(), **vars(window)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=120, help="reads a second")
    parser.add_argument("--seconds", type=float, default=0, help="0: until stopped")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    # What the workload neither deletes nor renumbers (workload.py).
    parser.add_argument("--products", type=int, default=8999, help="the last id asked for")
    parser.add_argument("--spare", type=int, default=2000, help="the last customer and order asked for")
    arguments = parser.parse_args()
    traffic = Traffic(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: traffic.stop.set())
    traffic.run(arguments.seconds)


if __name__ == "__main__":
    main()
