"""What deploy/kubernetes makes: valid for Kubernetes, and as careful as its documentation says."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kustomizing import Manifest, containers, pods, rendered

from chassis.settings import Settings
from contracts.envelope import SERVICES
from dinkop import elsewhere

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("single", "production")
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest that are meant."""
COMPONENT = "app.kubernetes.io/component"
OPERATORS = ("cnpg.io", "monitoring.coreos.com")
"""Whose kinds Kubernetes itself does not know."""
CRDS = os.environ.get("DINKOP_TEST_CRDS")


@cache
def overlay(name: str) -> list[Manifest]:
    """Return the manifests of an overlay."""
    return rendered(FOLDER / "overlays" / name)


def of_kind(name: str, kind: str) -> list[Manifest]:
    """Return the manifests of one kind in an overlay."""
    return [each for each in overlay(name) if each["kind"] == kind]


def services(name: str) -> list[Manifest]:
    """Return what runs the services of an overlay."""
    return [each for each in of_kind(name, "Deployment") if each["metadata"]["labels"][COMPONENT] == "service"]


def operator(name: str) -> Manifest:
    """Return what runs an operator's commands."""
    [found] = (each for each in of_kind(name, "Deployment") if each["metadata"]["labels"][COMPONENT] == "operator")
    return found


def named(manifest: Manifest) -> str:
    """Return how to speak of a manifest."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def is_operators(manifest: Manifest) -> bool:
    """Tell whether an operator brings this kind."""
    return manifest["apiVersion"].partition("/")[0].endswith(OPERATORS)


def everything() -> list[Any]:
    """Return every manifest of every overlay, each a case."""
    return [pytest.param(name, each, id=f"{name}-{named(each)}") for name in OVERLAYS for each in overlay(name)]


def running() -> list[Any]:
    """Return every manifest that runs pods."""
    return [case for case in everything() if pods(case.values[1])]


# ------------------------------------------------------------ valid


@pytest.mark.parametrize(("name", "manifest"), everything())
def test_kubernetes_knows_every_field(name: str, manifest: Manifest) -> None:
    if is_operators(manifest):
        return  # below, where the operators' own schemas are at hand
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_is_misspelt_is_found() -> None:
    [wrong, *_] = (yaml.safe_load(yaml.safe_dump(each)) for each in of_kind("single", "Deployment"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.skipif(not CRDS, reason="DINKOP_TEST_CRDS names no folder with the operators' CustomResourceDefinitions")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_operators_know_every_field(name: str) -> None:
    schemas = dict(_schemas(Path(CRDS or "")))
    found = [each for each in overlay(name) if is_operators(each)]
    found += rendered(FOLDER / "components" / "prometheus") if "ServiceMonitor" in {kind for _, kind in schemas} else []
    assert {each["kind"] for each in found} >= {"Cluster", "ObjectStore", "ScheduledBackup"}
    for each in found:
        jsonschema.validate(each, schemas[each["apiVersion"], each["kind"]])


def _schemas(folder: Path) -> Iterator[tuple[tuple[str, str], Any]]:
    for file in folder.glob("*.yaml"):
        for definition in filter(None, yaml.safe_load_all(file.read_text("utf-8"))):
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                _close(schema)
                yield (f"{spec['group']}/{version['name']}", spec["names"]["kind"]), schema


def _close(schema: Any) -> None:
    """Have a schema refuse fields that it doesn't name: a server would drop them without a word."""
    if not isinstance(schema, dict):
        return
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for name, inner in schema.items():
        if name in ("properties", "additionalProperties", "items"):
            for each in inner.values() if name == "properties" else (inner,):
                _close(each)
    if schema.get("type") == "object" and schema.get("properties", {}).keys() >= {"metadata", "spec"}:
        schema["properties"]["metadata"] = {"type": "object"}
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl to compare with")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_makes_the_same_of_it(name: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER / "overlays" / name], capture_output=True, text=True, timeout=60, check=True
    )
    theirs = {named(each): each for each in yaml.safe_load_all(done.stdout)}
    ours = {named(each): each for each in overlay(name)}
    assert theirs == ours


# ------------------------------------------------------------ careful


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_service_is_there_with_all_that_belongs_to_it(name: str) -> None:
    for service in SERVICES:
        made = {named(each) for each in overlay(name)}
        kinds = ("Deployment", "Service", "PodDisruptionBudget")
        assert {f"{kind} dinkop-{service}" for kind in kinds} | {f"Job dinkop-migrate-{service}"} <= made
        for each in (*services(name), *of_kind(name, "Job")):
            if each["metadata"]["name"].endswith(f"-{service}"):
                [container] = containers(each)
                assert container["command"] == ["python", "-m", f"services.{service}"]
                assert f"/{service}:" in container["image"]


@pytest.mark.parametrize(("name", "manifest"), running())
def test_no_pod_may_more_than_it_must(name: str, manifest: Manifest) -> None:
    [pod] = pods(manifest)
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(manifest):
        may = container["securityContext"]
        assert may["readOnlyRootFilesystem"] is True
        assert may["allowPrivilegeEscalation"] is False
        assert may["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["limits"]) == {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_service_is_probed_and_has_the_time_it_needs_to_stop(name: str) -> None:
    [settings] = (each["data"] for each in of_kind(name, "ConfigMap"))
    for deployment in services(name):
        [pod] = pods(deployment)
        [container] = pod["spec"]["containers"]
        probed = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
        assert probed == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] > 60, "it waits a minute for its migrations"
        readiness, drain = container["readinessProbe"], float(settings["DINKOP_DRAIN_SECONDS"])
        assert readiness["periodSeconds"] * readiness["failureThreshold"] <= drain
        assert pod["spec"]["terminationGracePeriodSeconds"] > drain + 5 + 2 + 4
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_production_has_several_of_everything_in_several_zones() -> None:
    for deployment in services("production"):
        assert deployment["spec"]["replicas"] >= 2
        [pod] = pods(deployment)
        zones = pod["spec"]["topologySpreadConstraints"][0]
        assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
        assert zones["labelSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    claims = {each["metadata"]["name"]: each["spec"] for each in of_kind("production", "PersistentVolumeClaim")}
    for shared in ("dinkop-keys-mentoring", "dinkop-accounts"):
        assert claims[shared]["accessModes"] == ["ReadWriteMany"]
    [settings] = (each["data"] for each in of_kind("production", "ConfigMap"))
    assert settings["DINKOP_NATS_REPLICAS"] == "3"
    assert len(settings["DINKOP_NATS_MONITORING_URL"].split(",")) == 3


def test_production_acknowledges_a_commit_when_it_is_on_two_machines() -> None:
    [cluster] = of_kind("production", "Cluster")
    assert cluster["spec"]["instances"] >= 3
    synchronous = cluster["spec"]["postgresql"]["synchronous"]
    assert synchronous == {"method": "any", "number": 1, "dataDurability": "required", "failoverQuorum": True}
    assert cluster["spec"]["postgresql"]["parameters"]["synchronous_commit"] == "on"
    assert "hostnossl all all all reject" in cluster["spec"]["postgresql"]["pg_hba"]
    assert cluster["spec"]["affinity"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert any(each["isWALArchiver"] for each in cluster["spec"]["plugins"])
    [backup] = of_kind("production", "ScheduledBackup")
    assert backup["spec"]["cluster"]["name"] == cluster["metadata"]["name"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_postgresql_has_a_connection_for_everybody(name: str) -> None:
    [settings] = (each["data"] for each in of_kind(name, "ConfigMap"))
    [cluster] = of_kind(name, "Cluster")
    processes = sum(each["spec"]["replicas"] + 1 for each in services(name))  # and one that replaces
    # One pool, and one that may overflow by as many; the lead, the gate, and a rebuild.
    each_needs = 3 * int(settings["DINKOP_CONNECTIONS"]) + 4
    spare = 15  # migrations, replication, the operator, whoever looks
    assert processes * each_needs + spare <= int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])


def test_nats_keeps_what_it_acknowledges_on_two_of_three_disks_and_lets_in_who_has_an_account() -> None:
    values = yaml.safe_load((FOLDER / "nats" / "values.yaml").read_text("utf-8"))
    config = values["config"]
    assert config["cluster"]["enabled"] is True
    assert config["cluster"]["replicas"] == 3
    assert config["jetstream"]["merge"]["sync_interval"] == "always"
    assert config["jetstream"]["fileStore"]["enabled"] is True
    assert config["merge"]["accounts$include"].endswith("nats-accounts.conf")
    assert config["nats"]["tls"]["enabled"] is config["cluster"]["tls"]["enabled"] is True
    assert "topology.kubernetes.io/zone" in values["podTemplate"]["topologySpreadConstraints"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_a_setting_and_every_setting_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"DINKOP_{field.upper()}" for field in Settings.model_fields}
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(name, "ConfigMap")}
    for manifest in (*services(name), *of_kind(name, "Job")):
        for container in containers(manifest):
            given = {env["name"]: env.get("value") for env in container["env"]}
            for source in container.get("envFrom", ()):
                given |= maps[source["configMapRef"]["name"]]
            assert set(given) <= known
            with monkeypatch.context() as environment:
                environment.setenv("DINKOP_DATABASE_URL", "postgresql://registry@postgres-rw/registry")
                for variable, value in given.items():
                    if value is not None:
                        environment.setenv(variable, value)
                Settings()


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_way_in_of_the_owner_is_given_to_migrations_only(name: str) -> None:
    with_it = {
        named(manifest)
        for manifest in (*of_kind(name, "Deployment"), *of_kind(name, "Job"))
        if any(
            env["name"] == "DINKOP_MIGRATION_URL"
            for container in containers(manifest)
            for env in container.get("env", ())
        )
    }
    assert with_it == {f"Job dinkop-migrate-{service}" for service in SERVICES}


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_written_down_and_none_is_shared_by_two_services(name: str) -> None:
    assert of_kind(name, "Secret") == []
    used: dict[str, set[str]] = {}
    for manifest in (*services(name), *of_kind(name, "Job")):
        for env in (env for container in containers(manifest) for env in container["env"]):
            if secret := env.get("valueFrom", {}).get("secretKeyRef"):
                used.setdefault(secret["name"], set()).add(manifest["metadata"]["labels"]["app.kubernetes.io/name"])
    assert {secret: len(services) for secret, services in used.items()} == dict.fromkeys(used, 1)
    assert set(used) == {*SERVICES, *(f"{service}-owner" for service in SERVICES), "mentoring-master-key"}


# ------------------------------------------------------------ who reaches whom


def reaches(name: str, who: Manifest, whom: dict[str, str], port: int) -> bool:
    """Tell whether the network policies of an overlay let a pod out to pods with these labels, and let it in there."""
    mine = who["metadata"]["labels"]
    return _passes(name, "Egress", mine, whom, port) and _passes(name, "Ingress", whom, mine, port)


def _passes(name: str, direction: str, of: dict[str, str], other: dict[str, str], port: int) -> bool:
    way, ends = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    policies = [
        each["spec"]
        for each in of_kind(name, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and _matches(each["spec"]["podSelector"], of)
    ]
    assert policies, "whoever no policy selects may do anything"
    rules = [rule for policy in policies for rule in policy.get(way, ())]
    return any(
        any(each["port"] == port or (each["port"] == "http" and port == HTTP) for each in rule["ports"])
        and (
            ends not in rule
            or any(set(end) == {"podSelector"} and _matches(end["podSelector"], other) for end in rule[ends])
        )
        for rule in rules
    )


def _matches(selector: Manifest, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()


HTTP = 8000
NATS, POSTGRES = {"app.kubernetes.io/name": "nats"}, {"cnpg.io/cluster": "postgres"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_service_reaches_nats_and_postgresql_and_no_other_service(name: str) -> None:
    of_services = [pods(each)[0] for each in services(name)]
    for pod in of_services:
        assert reaches(name, pod, NATS, 4222)
        assert reaches(name, pod, NATS, 8222)
        assert reaches(name, pod, POSTGRES, 5432)
        assert not reaches(name, pod, NATS, 6222)
        for other in of_services:
            assert not reaches(name, pod, other["metadata"]["labels"], 8000)
    for migration in of_kind(name, "Job"):
        [pod] = pods(migration)
        assert reaches(name, pod, POSTGRES, 5432)
        assert not reaches(name, pod, NATS, 4222)
    assert reaches(name, {"metadata": {"labels": NATS}}, NATS, 6222)
    assert not reaches(name, {"metadata": {"labels": NATS}}, POSTGRES, 5432)


# ------------------------------------------------------------ an operator's commands


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_operators_commands_are_told_where_everything_is_and_reach_it(name: str) -> None:
    pod = pods(operator(name))[0]
    first, container = containers(operator(name))
    [settings] = (each["data"] for each in of_kind(name, "ConfigMap"))
    given = settings | {env["name"]: env.get("value", "postgresql://…") for env in container["env"]}
    told = elsewhere.told(given)
    assert told is not None
    assert set(told.databases) == set(SERVICES)
    assert len(told.monitoring_urls) == int(settings["DINKOP_NATS_REPLICAS"])
    assert elsewhere.tls(given)["ca"] == Path("/etc/dinkop/authorities/nats.crt")
    heard = {each["metadata"]["name"]: each["spec"] for each in of_kind(name, "Service")}
    for service, url in told.services.items():
        parts = urlsplit(url)
        listens = heard[str(parts.hostname)]
        assert (listens["clusterIP"], listens["ports"][0]["port"]) == ("None", parts.port)
        assert listens["selector"].items() <= _pod_labels(name, service).items()
        assert reaches(name, pod, _pod_labels(name, service), HTTP)
    assert reaches(name, pod, NATS, 4222)
    assert reaches(name, pod, NATS, 8222)
    assert reaches(name, pod, POSTGRES, 5432)
    assert first["args"] == ["doors", f"{given['DINKOP_HOME']}/doors"]
    assert operator(name)["spec"]["strategy"] == {"type": "Recreate"}
    assert operator(name)["spec"]["replicas"] == 1


def _pod_labels(name: str, service: str) -> dict[str, str]:
    [found] = (each for each in services(name) if each["metadata"]["name"] == f"dinkop-{service}")
    labels: dict[str, str] = pods(found)[0]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("name", OVERLAYS)
def test_nats_reads_the_accounts_that_the_operator_writes(name: str) -> None:
    pod = pods(operator(name))[0]
    _, container = containers(operator(name))
    given = {env["name"]: env.get("value", "") for env in container["env"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    claimed = volumes[mounts[given["DINKOP_SHOWN"]]]["persistentVolumeClaim"]["claimName"]
    assert volumes[mounts[f"{given['DINKOP_SECRETS']}/doors"]]["secret"]["secretName"] == "nats-users"
    values = yaml.safe_load((FOLDER / "nats" / "values.yaml").read_text("utf-8"))
    [volume] = (each["value"] for each in values["podTemplate"]["patch"])
    [mount] = (each["value"] for each in values["container"]["patch"])
    assert volume["persistentVolumeClaim"] == {"claimName": claimed, "readOnly": True}
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    # Relative to /etc/nats-config, where the chart puts its own.
    assert (
        values["config"]["merge"]["accounts$include"]
        == f"..{mount['mountPath'].removeprefix('/etc')}/nats-accounts.conf"
    )
    account = values["podTemplate"]["merge"]["spec"]["securityContext"]
    assert account["runAsUser"] == pod["spec"]["securityContext"]["runAsUser"], "the file is for its owner alone"
