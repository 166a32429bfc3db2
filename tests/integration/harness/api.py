"""The admin API of a `banyan serve` under test, as an HTTP client sees it."""
import contextlib
import functools
import http.client
import json
import pathlib

import jsonschema
import yaml

from .process import free_port, wait_until

_OPENAPI = pathlib.Path(__file__).resolve().parents[3] / "docs/openapi.yaml"


@functools.cache  # a second of work
def openapi():
    return yaml.safe_load(_OPENAPI.read_text())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def expect(self, status=200):
        assert self.status == status, f"status {self.status}, not {status}: {self.body[:2000]!r}"
        return self


class Api:
    """Calls a daemon; `token` goes into each request."""

    def __init__(self, address, token=None):
        self.address, self.token = address, token

    @property
    def url(self):
        return f"http://{self.address}"

    def call(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        everything = dict(headers or {})
        if self.token:
            everything["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            everything.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, everything)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, {"why": "test"} if body is None else body, **more)

    def module(self, name):
        return self.get(f"/v1/modules/{name}").expect().json

    def wait_for_state(self, name, state, timeout=40):
        return wait_until(lambda: (m := self.module(name))["pipeline"]["state"] == state and m, timeout,
                          f"module {name} is {state}")


def check_answer(method, template, answer):
    """The answer is what docs/openapi.yaml says."""
    spec = openapi()
    responses = spec["paths"][template][method.lower()]["responses"]
    response = responses.get(str(answer.status), responses.get("default"))
    assert response, f"{method} {template}: {answer.status} is not in docs/openapi.yaml"
    if "$ref" in response:
        response = spec["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    if schema:
        jsonschema.Draft202012Validator(schema | {"components": spec["components"]}).validate(answer.json)
    return answer


@contextlib.contextmanager
def serving(program, *options, token=None):
    """`banyan serve` while the block runs; then it is stopped, in good order."""
    running = program.start("serve", *options)
    match = running.wait_for(r"serving address=(\S+)", 30)
    yield Api(match.group(1), token), running
    if running.is_running():
        running.stop().expect(0)


def listen_anywhere():
    return f"127.0.0.1:{free_port()}"
