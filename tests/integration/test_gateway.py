"""The gateway: who answers a request, through a real nginx."""
import json

import pytest

from harness.gateway import gateway, running  # noqa: F401  pylint: disable=unused-import


def test_the_flag_decides(gateway):  # noqa: F811
    gate = gateway()
    with running(gate):
        answer = gate.get()
        assert answer.status == 200 and json.loads(answer.body) == {"from": "sql"}
        assert (answer.source, answer.headers["X-Service"], answer.headers["X-Migrated"]) == (
            "sql", "product-service-sql", "false")
        answer = gate.get(X_User_Id="u1")
        assert json.loads(answer.body) == {"from": "mongodb"}
        assert (answer.source, answer.headers["X-Service"], answer.headers["X-Migrated"]) == (
            "mongodb", "product-service-mongo", "true")
        assert gate.get(X_Tenant_Id="t1").source == "mongodb"
        assert gate.get(X_User_Id="u2").source == "sql"
        assert gate.call("POST", body=b"x", headers={"X-User-Id": "u1"}).source == "sql"
