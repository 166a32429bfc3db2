"""Each path of the server, whoever adds it: who may ask, what a body may say, and what is never told."""
import http.client
import itertools
import json
import pathlib
import re
import time

import pytest

from harness.api import check_answer, listen_anywhere, openapi, serving
from harness.process import wait_until

_ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENS = {"operator": "operator-0123456789", "viewer": "viewer-0123456789", "evaluate": "evaluate-0123456789",
          "edge": "edge-0123456789abc"}
WHO = {None: "", "wrong": "wrong-0123456789"} | {role: token for role, token in TOKENS.items()}
FLAGS = "features: [{name: half, enabled: true, rollout_percentage: 50}]"
EXAMPLES = {"module": "sales", "flag": "half", "key": "half", "key*": "half", "id": "1", "file": "app.js"}


def _routes():
    """(method, path, role) of every route in the sources; what a file gives twice is of `listen` first, then of `ofrep.listen`."""
    found = {}
    for file in sorted((_ROOT / "src").glob("*/*.c")):
        for method, path, role in re.findall(r'\{"(GET|POST|PATCH|PUT|DELETE)",\s+"(/[^"]*)",\s+HTTP_(\w+),', file.read_text()):
            found.setdefault((method, path), role)
    return [(method, path, role) for (method, path), role in found.items()]


def _path(template):
    return re.sub(r"\{([\w*]+)\}", lambda m: EXAMPLES.get(m[1], "1"), template)


@pytest.fixture
def make(pg, mongo, mongo_server, banyan):
    def make(**more):
        pg.execute("CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'a'), (2, 'b')")
        program = banyan({
            "source": {"uri": pg.uri}, "target": {"uri": mongo_server.uri(), "database": mongo.name},
            "listen": listen_anywhere(), "flags": "feature-flags.yml",
            "modules": {"sales": {"collections": {"orders": {"table": "orders"}}}}} | more)
        (program.folder / "feature-flags.yml").write_text(FLAGS)
        return program

    return make


def _status(api, method, path, headers, body=None):
    """Without the body of the answer: a stream has no end."""
    connection = http.client.HTTPConnection(api.address, timeout=20)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.sanitize
def test_every_route_for_every_role(make):
    routes = list(_routes())
    assert len(routes) > 25 and len({role for _, _, role in routes}) == 5, routes
    with serving(make(tokens=TOKENS), token=TOKENS["operator"]) as (api, _):
        api.wait_for_state("sales", "streaming")
        for (method, template, role), (who, token) in itertools.product(routes, WHO.items()):
            if template == "/v1/login":
                continue  # takes a token in its body, see below
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            status = _status(api, method, _path(template), headers, None if method == "GET" else "")
            if role == "ANYONE" and who != "wrong" or who == "operator" or who == role.lower():
                assert status not in (401, 403, 421), (method, template, who, status)
            else:
                assert status == (403 if who in TOKENS else 401), (method, template, who, status)


def test_no_route_for_another_host_or_site(make):
    with serving(make()) as (api, _):
        for method, template, role in _routes():
            for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
                            {"Sec-Fetch-Site": "cross-site"}):
                status = _status(api, method, _path(template), headers, None if method == "GET" else "")
                opens_page = role == "ANYONE" and method == "GET" and "Sec-Fetch-Site" in headers
                assert status in (403, 421) or opens_page, (method, template, headers, status)


# ---- bodies ----

def _resolve(spec, schema):
    while "$ref" in schema:
        schema = spec["components"][schema["$ref"].split("/")[-2]][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _bodies(spec):
    """(method, path, properties, required) of every change; what applications ask is tested with its parts."""
    for template, methods in spec["paths"].items():
        for method in set(methods) & {"post", "patch", "put"}:
            body = methods[method].get("requestBody")
            # An edge may be of another version, and sends what is no JSON.
            other = template.startswith(("/ofrep", "/v1/operations", "/v1/edge/")) or template in ("/v1/login", "/v1/edge")
            if not body or other:
                continue
            schema = _resolve(spec, _resolve(spec, body)["content"]["application/json"]["schema"])
            yield (method.upper(), template, {name: _resolve(spec, p) for name, p in schema["properties"].items()},
                   schema.get("required", []))


def _good(name, schema):
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "a reason", "integer": max(schema.get("minimum", 1), 0), "number": 10, "boolean": True,
            "array": [], "object": {}}[schema["type"]]


def _bad(schema):
    """Values that the schema refuses."""
    yield from ([], {}) if schema.get("type") not in ("array", "object") else (5, "x")
    kind = schema.get("type", "string")
    if "enum" in schema:
        yield from ("no such word", 5, "x" * 5000)
    elif kind in ("integer", "number"):
        yield from ("5", True, None)
        if kind == "integer":
            yield 1.5
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
    elif kind == "string":
        yield from (5, None)
        if "maxLength" in schema:
            yield "x" * (schema["maxLength"] + 1)
        if schema.get("minLength"):
            yield ""
    elif kind == "boolean":
        yield from (0, "true", None)


@pytest.mark.sanitize
def test_bodies_are_what_the_description_says(make, pg, mongo):
    spec = openapi()
    with serving(make()) as (api, _):
        api.wait_for_state("sales", "streaming")
        mongo.command("collMod", "orders", validator={"note": {"$ne": "bad"}})
        pg.execute("UPDATE orders SET note = 'bad' WHERE id = 1")
        parked = wait_until(lambda: api.get("/v1/parked").json["parked"], 20, "a document is parked")[0]["id"]
        seen = 0
        for method, template, properties, required in _bodies(spec):
            path = _path(template).replace("/parked/1/", f"/parked/{parked}/")
            good = {name: _good(name, properties[name]) for name in required}
            refused = [{k: v for k, v in good.items() if k != name} for name in required]
            refused += [good | {name: bad} for name, schema in properties.items() for bad in _bad(schema)]
            refused += [[], "text", None, 5, good | {"no_such_member": 1}]
            for body in refused:
                answer = api.call(method, path, json.dumps(body))
                assert answer.status == 400, (method, path, str(body)[:200], answer.status)
                check_answer(method, template, answer)
            assert api.call(method, path, b"{").status == 400
            assert api.call(method, path, json.dumps(good), headers={"Content-Type": "text/plain"}).status == 415
            seen += 1
        assert seen > 8


# ---- secrets ----

SECRET = "S3cr3tWord"


def _looked_at(api):
    """Every answer of a GET, good or not, and what some changes say."""
    for template, methods in openapi()["paths"].items():
        if "get" in methods and not template.endswith("/events"):
            answer = api.get(_path(template))
            yield template, str(answer.headers).encode() + answer.body
    for file in sorted((_ROOT / "web").iterdir()):
        yield file.name, api.get(f"/page/{file.name}").body
    yield "login", api.post("/v1/login", {"token": SECRET + "-wrong-9876543210"}).body
    for _ in range(2):
        yield "change", api.post("/v1/flags/half/off").body
        yield "pause", api.post("/v1/modules/none/pause").body


def _stream(api, seconds):
    connection = http.client.HTTPConnection(api.address, timeout=seconds)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {api.token}"})
    answer, seen, end = connection.getresponse(), b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            seen += answer.read1(65536)
    except TimeoutError:
        pass
    finally:
        connection.close()
    return seen


@pytest.mark.sanitize
def test_no_secret_in_any_answer(make, pg, mongo_server):
    """Source, target, Redis, webhook and tokens; while things work, and while they do not."""
    tokens = {role: f"{SECRET}-{role}-0123456789" for role in TOKENS}
    source = pg.uri + ("&" if "?" in pg.uri else "?") + f"password={SECRET}"
    program = make(
        source={"uri": source}, tokens=tokens, redis=f"redis://:{SECRET}@127.0.0.1:1/0",
        target={"uri": mongo_server.uri() + f"?appname=x&tlsCertificateKeyFilePassword={SECRET}", "database": "elsewhere"},
        alerts={"webhook": f"http://127.0.0.1:1/{SECRET}/hook?key={SECRET}",
                "rules": [{"metric": "banyan_process_resident_memory_bytes", "over": 1}]})
    with serving(program, token=tokens["operator"]) as (api, running):
        wait_until(lambda: api.get("/v1/alerts").expect().json["alerts"], 30, "an alert fires")
        _replace_limit(program)
        running.wait_for("configuration_refused", 10)
        seen = _stream(api, 3)
        assert b"event:" in seen
        looked = list(_looked_at(api)) + [("events", seen), ("log", running.err.encode())]
        assert len(looked) > 25
        for name, text in looked:
            assert SECRET.encode() not in text, (name, text[max(0, text.find(SECRET.encode()) - 200):][:400])
    assert SECRET not in program.run("config", "show").out + program.run("status", "--health").err


def _replace_limit(program):
    """A change that is refused, of what holds a secret."""
    text = program.config.read_text()
    fresh = program.config.with_suffix(".new")
    fresh.write_text(text.replace(f"{SECRET}-viewer", f"{SECRET}-other"))
    fresh.rename(program.config)
