"""Alerts, dashboard and collector speak of what there is, and every alert leads to a page that helps."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from chassis.telemetry.metrics import LEVELS
from contracts.envelope import SERVICES

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "deploy" / "observability"
PROMETHEUS = FOLDER / "prometheus"
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*_test.yml"))
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
WATCH = (REPOSITORY / "docs" / "how-to" / "watch.md").read_text("utf-8")


def parsed(path: Path) -> Any:
    """Return what a YAML or JSON file says."""
    text = path.read_text("utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


ALERTS = {rule["alert"]: rule for group in parsed(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]}
DASHBOARD = parsed(FOLDER / "grafana" / "dashboards" / "dinkop.json")
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
QUERIES = {
    f"{title}, {target['refId']}": target["expr"] for title, panel in PANELS.items() for target in panel["targets"]
}
EXPRESSIONS = {name: rule["expr"] for name, rule in ALERTS.items()} | QUERIES

OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity", "service"}}
OF_TARGETS = {"service", "instance", "job"}
"""Labels that Prometheus adds to whatever it scrapes, by our configuration."""
WORDS = {"sum", "max", "min", "by", "and", "or", "unless", "count", "absent"}
WORDS |= {"rate", "increase", "histogram_quantile", "topk", "on", "without", "vector"}


def exported() -> dict[str, set[str]]:
    """Return every metric that a service exports, with its labels: that it does, `tests/integration/http` sees."""
    metrics = {name: set(labels) for name, (_, labels) in LEVELS.items()}
    for family in REGISTRY.collect():
        collector = REGISTRY._names_to_collectors.get(family.name)
        labels = set(getattr(collector, "_labelnames", ()))
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        for suffix in suffixes:
            metrics[f"{family.name}{suffix}"] = labels | ({"le"} if suffix == "_bucket" else set())
    return metrics


METRICS = exported() | OF_PROMETHEUS


def bare(expression: str) -> str:
    """Return an expression without its texts, durations and Grafana's own variables."""
    return re.sub(r"\[[^\]]*\]", "", re.sub(r'"[^"]*"', '""', expression))


def named(expression: str) -> set[str]:
    """Return the metrics an expression names: every word that is neither a label, nor one of the language's own."""
    without_labels = re.sub(r"\{[^}]*\}|\b(?:by|on|without) \([^)]*\)", "", bare(expression))
    return set(re.findall(r"[a-zA-Z_:][\w:]*", without_labels)) - WORDS


def labels(expression: str) -> set[str]:
    """Return the labels an expression names."""
    text = bare(expression)
    selected = {label for group in re.findall(r"\{([^}]*)\}", text) for label in re.findall(r"(\w+)\s*[=!]", group)}
    grouped = {label for group in re.findall(r"\b(?:by|on|without) \(([^)]*)\)", text) for label in group.split(",")}
    return selected | {label.strip() for label in grouped}


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_is_one_that_services_export(place: str) -> None:
    metrics = named(EXPRESSIONS[place])
    assert metrics
    assert metrics <= METRICS.keys()
    assert labels(EXPRESSIONS[place]) <= OF_TARGETS.union(*(METRICS[metric] for metric in metrics))


def test_a_metric_or_label_that_nobody_exports_would_be_noticed() -> None:
    assert named('rate(dinkop_gone_total{a="b"}[5m])') == {"dinkop_gone_total"}
    assert "dinkop_gone_total" not in METRICS
    assert labels('sum by (x, y) (up{z!~"w"})') == {"x", "y", "z"}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_is_so_how_bad_it_is_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    page = REPOSITORY / rule["annotations"]["runbook_url"]
    assert page.stem == re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()
    text = page.read_text("utf-8")
    assert text.startswith(f"# {alert}\n")
    parts = [text.index(part) for part in ("**Means.**", "**Users notice.**", "**Look.**", "**Do.**")]
    assert parts == sorted(parts)
    assert "$ dinkop " in text, "what to type, not only what to think"


def test_there_is_no_runbook_for_what_never_alerts_and_the_list_has_all() -> None:
    pages = {page.name for page in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {Path(rule["annotations"]["runbook_url"]).name for rule in ALERTS.values()}
    list_ = (RUNBOOKS / "README.md").read_text("utf-8")
    assert {f"[{name}]({Path(rule['annotations']['runbook_url']).name})" for name, rule in ALERTS.items()} == set(
        re.findall(r"\[[A-Z]\w+\]\([\w-]+\.md\)", list_)
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tried_by_a_rule_test_that_expects_it_to_come(alert: str) -> None:
    tests = [test for file in RULE_TESTS for test in parsed(file)["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert any(case["alertname"] == alert and case["exp_alerts"] for case in cases)


def promtool(*words: str | Path) -> None:
    """Run Prometheus' own checker, or say that it is not here."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here (Debian: prometheus): names, labels and pages were checked without it")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_configuration_and_alerts_and_they_come_when_they_should() -> None:
    for name in ("prometheus.yml", "one-machine.yml"):
        promtool("check", "config", "--syntax-only", PROMETHEUS / name)
    promtool("check", "rules", PROMETHEUS / "alerts.yml")
    promtool("test", "rules", *RULE_TESTS)


def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel_{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES.values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_prometheus_finds_every_service_on_compose_and_on_one_machine() -> None:
    [job] = [job for job in parsed(PROMETHEUS / "prometheus.yml")["scrape_configs"] if job["job_name"] == "dinkop"]
    [by_dns] = job["dns_sd_configs"]
    assert set(by_dns["names"]) == set(SERVICES)
    assert {"source_labels": ["__meta_dns_name"], "target_label": "service"} in job["relabel_configs"]
    assert job["authorization"] == {"credentials_file": "/run/secrets/metrics_token"}
    [local] = parsed(PROMETHEUS / "one-machine.yml")["scrape_configs"]
    assert {each["labels"]["service"] for each in local["static_configs"]} == set(SERVICES)
    absent = set(re.findall(r'absent\(up\{job="dinkop", service="(\w+)"\}\)', ALERTS["ServiceDown"]["expr"]))
    assert absent == set(SERVICES)


def test_the_dashboard_asks_the_source_that_is_provisioned_and_no_panel_lies_over_another() -> None:
    [source] = parsed(FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    [provider] = parsed(FOLDER / "grafana" / "provisioning" / "dashboards" / "dinkop.yml")["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
    for panel in PANELS.values():
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]}
        assert panel["description"], panel["title"]


def test_the_collector_has_whatever_its_pipelines_name() -> None:
    collector = parsed(FOLDER / "otel-collector.yaml")
    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert pipeline[kind]
            assert set(pipeline[kind]) <= collector[kind].keys()
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")


def test_every_metric_of_ours_stands_in_the_how_to() -> None:
    def parts() -> Iterator[str]:
        for name in METRICS:
            if name.startswith("dinkop_") and not name.endswith(("_bucket", "_count", "_sum")):
                yield name

    written = set(re.findall(r"`(dinkop_\w+)`", WATCH))
    for row in re.findall(r"^\| (`dinkop_\w+`.*?) \|", WATCH, re.MULTILINE):
        first, *others = re.findall(r"`(\w+)`", row)
        for other in others:
            if other.startswith("_"):
                written |= {re.sub(r"_[a-z]+$", other, first), re.sub(r"_[a-z]+_[a-z]+$", other, first)}
    assert set(parts()) - written == set()
