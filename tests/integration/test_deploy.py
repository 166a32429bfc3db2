"""deploy/: each file is read by the program that it is for, or by a reader of its format; names of
metrics, keys of the configuration, packages and paths are those of the program."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from harness.banyan import binary

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
LABELS = {"module", "collection", "operation", "route", "side", "reason", "version",
          # of Prometheus and its histograms
          "instance", "job", "le"}
SECRETS = {"POSTGRES_PASSWORD": "p", "BANYAN_TOKEN": "o" * 32, "BANYAN_VIEW": "v" * 32,
           "MONGODB_URI": "mongodb://h/", "OPERATOR_TOKEN": "o" * 32, "VIEWER_TOKEN": "v" * 32,
           "EVALUATE_TOKEN": "e" * 32}


def run(*command, **more):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                            timeout=60, **more)
    return result.returncode, result.stdout + result.stderr


def metrics():
    """name -> (type, labels), from the page that lint holds against the program."""
    rows = re.findall(r"^\| `(banyan_\w+)` \| (\w+) \| \w* \| ([\w, ]*) \|",
                      (ROOT / "docs/metrics.md").read_text(), re.M)
    assert len(rows) > 30
    return {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels in rows}


def series():
    """Every name that a scrape can have -> its labels."""
    names = {}
    for name, (kind, labels) in metrics().items():
        if kind == "histogram":
            names.update({name + "_bucket": labels | {"le"}, name + "_sum": labels,
                          name + "_count": labels})
        else:
            names[name] = labels
    return names


def check_query(query):
    known = series()
    used = re.findall(r"(?<![\w{])(banyan_\w+)", query)
    assert used, query
    for name in used:
        assert name in known, f"{name} is no metric: {query}"
    for name, matchers in re.findall(r"(banyan_\w+)\{([^}]*)\}", query):
        for label in re.findall(r"(\w+)\s*[=!]", matchers):
            assert label in known[name] | {"instance", "job"}, f"{name} has no {label}: {query}"
    for group in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", query):
        for label in re.split(r"[,\s]+", group.strip()):
            assert label in LABELS, f"{label}: {query}"


def promtool(*arguments, folder):
    # Debian's, or what tools/deps.sh took from it.
    beside = pathlib.Path(sys.executable).parent / "promtool"
    code, out = run(shutil.which("promtool") or beside, *arguments, cwd=folder)
    assert code == 0, out


# ---- Prometheus ----


def test_prometheus_takes_configuration_and_rules():
    folder = DEPLOY / "prometheus"
    promtool("check", "config", "prometheus.yml", folder=folder)
    promtool("check", "rules", "banyan-alerts.yml", folder=folder)


def test_rules_fire_when_they_should():
    promtool("test", "rules", "banyan-alerts-test.yml", folder=DEPLOY / "prometheus")


def test_rules_name_metrics_that_there_are():
    groups = yaml.safe_load((DEPLOY / "prometheus/banyan-alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 8
    for rule in rules:
        if "banyan_" in rule["expr"]:
            check_query(rule["expr"])
        assert rule["labels"]["severity"] in ("low", "medium", "high", "critical")
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in LABELS


def test_a_wrong_query_is_found():
    for query in ("banyan_lag", "rate(banyan_lag_seconds_total[5m])",
                  'banyan_lag_seconds{user="x"}', "sum by (user) (banyan_lag_seconds)",
                  "banyan_apply_latency_seconds"):
        with pytest.raises(AssertionError):
            check_query(query)


# ---- Grafana ----


def test_dashboard_asks_for_metrics_that_there_are():
    dashboard = json.loads((DEPLOY / "grafana/banyan.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) > 20
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["title"] and panel["description"] and panel["targets"]
        for target in panel["targets"]:
            check_query(target["expr"].replace("$__rate_interval", "5m"))
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in LABELS
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            check_query(variable["definition"])


def test_dashboard_queries_are_promql(tmp_path):
    """promtool parses each expression, as a rule."""
    dashboard = json.loads((DEPLOY / "grafana/banyan.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    queries = [q.replace("$__rate_interval", "5m").replace("$instance", ".*")
               .replace("$module", ".*") for q in queries]
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": f"query:{i}", "expr": q} for i, q in enumerate(queries)]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_panels_do_not_overlap():
    taken = {}
    for panel in json.loads((DEPLOY / "grafana/banyan.json").read_text())["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


# ---- configurations inside ----


def check_config(text, tmp_path):
    file = tmp_path / "banyan.yml"
    file.write_text(text)
    code, out = run(binary(), "--config", file, "--json", "config", "show",
                    env=os.environ | SECRETS)
    assert code == 0, out
    return json.loads(out)


# ---- containers ----


def packages_of_the_program():
    """Debian's packages of the libraries that the program itself names."""
    code, out = run("readelf", "-d", binary())
    assert code == 0, out
    found = set()
    for library in re.findall(r"\(NEEDED\).*\[(.*)\]", out):
        if re.match(r"(lib(c|m|gcc_s|asan|ubsan|tsan|pthread)|ld-linux.*)\.so", library):
            continue
        code, out = run("dpkg", "-S", f"*/{library}")
        assert code == 0, out
        found |= {line.split(":")[0] for line in out.splitlines()}
    assert found
    return found


def test_image_has_what_building_and_running_need():
    build, final = (DEPLOY / "docker/Dockerfile").read_text().split("FROM debian")[1:]
    wanted = re.search(r"packages=\((.*?)\)", (ROOT / "tools/deps.sh").read_text(), re.S)[1].split()
    tools_of_tests = {"libclang-rt-14-dev"}
    for package in wanted:
        if re.match(r"lib.*-dev$|libjs-", package) and package not in tools_of_tests:
            assert f" {package} " in build.replace("\n", " "), f"{package} is needed to build"
    for package in packages_of_the_program():
        assert f" {package} " in final.replace("\n", " "), f"{package} is needed to run"
    assert "USER 8420" in final


def test_compose_is_one_machine(tmp_path):
    compose = yaml.safe_load((DEPLOY / "docker/docker-compose.yml").read_text())
    services = compose["services"]
    assert {"postgres", "mongodb", "banyan", "prometheus", "grafana"} <= set(services)
    folder = DEPLOY / "docker"
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (folder / source).exists(), volume
            else:
                assert source in compose["volumes"], volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port
        for other in service.get("depends_on", {}):
            assert "healthcheck" in services[other]
        for config in service.get("configs", []):
            yaml.safe_load(compose["configs"][config["source"]]["content"])
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"]
    assert (folder / services["banyan"]["build"]["context"]
            / services["banyan"]["build"]["dockerfile"]).is_file()
    assert services["banyan"]["read_only"] and services["banyan"]["cap_drop"] == ["ALL"]
    text = (folder / "banyan.yml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(services["banyan"]["environment"])
    check_config(text, tmp_path)


def test_prometheus_of_compose_is_valid(tmp_path):
    compose = yaml.safe_load((DEPLOY / "docker/docker-compose.yml").read_text())
    (tmp_path / "prometheus.yml").write_text(
        compose["configs"]["prometheus"]["content"].replace("/run/secrets", str(tmp_path)))
    (tmp_path / "banyan_view").write_text("x")
    shutil.copy(DEPLOY / "prometheus/banyan-alerts.yml", tmp_path)
    promtool("check", "config", "prometheus.yml", folder=tmp_path)


# ---- Kubernetes ----


@pytest.fixture(scope="module")
def manifests():
    found = list(yaml.safe_load_all((DEPLOY / "kubernetes/banyan.yaml").read_text()))
    for manifest in found:
        assert manifest["apiVersion"] and manifest["metadata"]["name"] == "banyan"
    return {manifest["kind"]: manifest for manifest in found}


def test_one_replica_that_is_confined(manifests):
    spec = manifests["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    assert spec["serviceName"] == manifests["Service"]["metadata"]["name"]
    pod = spec["template"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert manifests["Service"]["spec"]["selector"] == spec["selector"]["matchLabels"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    confined = container["securityContext"]
    assert confined["allowPrivilegeEscalation"] is False
    assert confined["readOnlyRootFilesystem"] is True
    assert confined["capabilities"]["drop"] == ["ALL"]
    assert "memory" in container["resources"]["limits"]


def test_every_mount_has_a_volume(manifests):
    spec = manifests["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
    assert any(volume.get("configMap", {}).get("name") == "banyan" for volume in pod["volumes"])


def test_probes_ask_health_under_a_known_name(manifests, tmp_path):
    container = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    ready = container["readinessProbe"]["httpGet"]
    assert ready["path"] == "/health" and ready["port"] in ports
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["tcpSocket"]["port"] in ports
    text = manifests["ConfigMap"]["data"]["banyan.yml"]
    shown = check_config(text, tmp_path)
    host = next(h["value"] for h in ready["httpHeaders"] if h["name"] == "Host")
    assert host in shown["hosts"]
    assert shown["listen"].endswith(f":{container['ports'][0]['containerPort']}")


def test_secrets_come_from_the_secret_only(manifests):
    container = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    given = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in container["env"]}
    assert {ref["name"] for ref in given.values()} == {"banyan"}
    text = manifests["ConfigMap"]["data"]["banyan.yml"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(given)
    comment = (DEPLOY / "kubernetes/banyan.yaml").read_text().split("apiVersion")[0]
    for ref in given.values():
        assert f"--from-literal={ref['key']}=" in comment


# ---- systemd ----


def installed(tmp_path, name):
    """A unit as it is installed, beside this build's program."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/banyan").symlink_to(binary())
    file = tmp_path / name
    template = (DEPLOY / f"systemd/{name}.in").read_text()
    file.write_text(template.replace("@bindir@", str(tmp_path / "bin")))
    assert "@" not in re.sub(r"[=~]@[\w-]+(?: @[\w-]+)*", "", file.read_text())
    return file


@pytest.fixture
def unit(tmp_path):
    return installed(tmp_path, "banyan.service")


def test_systemd_takes_the_edge(tmp_path):
    edge = installed(tmp_path, "banyan-edge.service")
    code, out = run("systemd-analyze", "verify", "--man=no", edge)
    assert code == 0 and not [line for line in out.splitlines() if "banyan" in line], out
    code, out = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", edge)
    assert code == 0, out
    command = re.search(r"^ExecStart=\S+ (.*)$", edge.read_text(), re.M)[1].split()
    assert command[-2:] == ["serve", "--edge"] and "KillMode=process" in edge.read_text()


def test_systemd_takes_the_unit(unit):
    code, out = run("systemd-analyze", "verify", "--man=no", unit)
    ours = [line for line in out.splitlines() if "banyan" in line]
    assert code == 0 and not ours, out


def test_systemd_finds_a_mistake(unit):
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHom=yes"))
    _, out = run("systemd-analyze", "verify", "--man=no", unit)
    assert "ProtectHom" in out


def test_the_unit_is_hardened(unit):
    code, out = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15",
                    unit)
    assert code == 0, out
    level = float(re.search(r"Overall exposure level for banyan.service: ([\d.]+)", out)[1])
    assert level <= 1.5, out


def test_the_unit_fits_the_program(unit):
    text = unit.read_text()
    command = re.search(r"^ExecStart=(.*)$", text, re.M)[1].split()
    assert command[-1] == "serve"
    code, out = run(binary(), *command[1:-1], "help", "serve")
    assert code == 0 and "serve" in out
    for setting in ("Type=notify", "WatchdogSec=", "NoNewPrivileges=yes", "ProtectSystem=strict",
                    "StateDirectory=banyan", "KillMode=process",
                    "ExecReload=/bin/kill -HUP"):
        assert setting in text
