"""The files of deploy/ held to the project, without any of the tools that read them (those: test_tools.py)."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdp_pipelines.config import CONNECTION_CLASSES, PROJECT_DIR, Settings

DEPLOY = PROJECT_DIR / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("cdp-pipelines")}
HELM = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text())
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
VERSION = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"]["version"]


def text_of(path: Path) -> str:
    return path.read_text()


@pytest.mark.parametrize("path", [p for p in sorted(DEPLOY.rglob("*")) if p.is_file()], ids=lambda p: p.name)
def test_every_setting_that_is_named_exists(path: Path):
    by_prefix = {"CDP": Settings.model_fields, **{kind.upper(): cls.model_fields for kind, cls in CONNECTION_CLASSES.items()}}
    known = {f"{prefix}_{name}".upper() for prefix, fields in by_prefix.items() for name in fields} | {"CDP_ENV_FILE"}
    named = set(re.findall(r"\b(?:SALESFORCE|HUBSPOT|MARKETO|CDP)_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named - known == set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_limited_and_hardened(name: str):
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["healthcheck"].keys() & {"test", "disable"}
    uid = service["user"].partition(":")[0]
    assert uid.isdigit()
    assert int(uid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert re.search(r":\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), "a version, not whatever is newest"


def test_only_what_ends_has_no_health_check():
    assert [name for name, service in SERVICES.items() if service["healthcheck"].get("disable")] == ["tables"]
    assert SERVICES["tables"]["restart"] == "no"


def test_ports_are_for_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_no_password_has_a_default():
    values = [str(v) for service in SERVICES.values() for v in service.get("environment", {}).values()]
    for variable in re.findall(r"\$\{([^}]*)\}", " ".join(values)):
        assert re.fullmatch(r"[A-Z_]+:\?.+", variable), f"{variable}: nothing starts without it"
    secret = [name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)]
    assert {"encryption_key", "celery_broker"} <= set(secret)
    for service in OURS.values():
        for name, value in service["environment"].items():
            if name.startswith("CDP_") and name.removeprefix("CDP_").lower() in secret:
                assert "${" in value
    for example in ("cdp.env.example", ".env.example"):
        for line in text_of(DEPLOY / example).splitlines():
            assert line.startswith("#") or line.endswith("="), "an example names settings and gives no value"
    assert not {"postgresqlPassword"} & set(HELM["postgresql"])


def test_only_who_speaks_to_the_crms_has_their_secrets():
    assert sorted(name for name, service in OURS.items() if service["env_file"]) == ["code", "receiver", "worker"]


def test_all_parts_are_of_this_version():
    assert {service["image"] for service in OURS.values()} == {f"cdp-pipelines:{VERSION}"}
    deployments = HELM["dagster-user-deployments"]
    images = [HELM["dagsterWebserver"]["image"], HELM["dagsterDaemon"]["image"], deployments["deployments"][0]["image"]]
    assert {image["tag"] for image in images} == {VERSION}
    [receiver] = [m for m in deployments["extraManifests"] if m["kind"] == "Deployment"]
    assert receiver["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{VERSION}")


def test_files_that_are_mounted_are_there_and_name_each_other():
    for config in COMPOSE["configs"].values():
        assert (DEPLOY / config["file"]).exists()
    [location] = yaml.safe_load((DEPLOY / "dagster/workspace.yaml").read_text())["load_from"]
    command = SERVICES[location["grpc_server"]["host"]]["command"]
    assert str(location["grpc_server"]["port"]) in command
    assert f"EXPOSE {location['grpc_server']['port']}" in CONTAINERFILE


def test_who_waits_for_whom_is_there():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "tables" else "service_healthy"
            assert how["condition"] == wanted, f"{name} waits for {other}"
            assert other in SERVICES


def test_the_image_is_nobody_s_to_change_and_runs_as_nobody_special():
    last = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):\d+$", last, re.MULTILINE)
    assert {service["user"] for service in OURS.values()} == set(re.findall(r"^USER (\S+)$", last, re.MULTILINE))
    assert "HEALTHCHECK" in last
    assert not re.search(r"COPY .*--chown", last), "what runs may not change what it is"
    assert "python -m cdp_pipelines.transform" in CONTAINERFILE, "dbt's manifest is in it"
    assert re.search(r"chmod -R a\+rX,go-w /app", CONTAINERFILE), "the manifest is made as a file that only its owner may read"
    # Each FROM has a version, and they are the same.
    assert len(set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE))) == 1


def test_the_image_gets_only_what_it_is_made_of():
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE))
    wanted = {name for line in copied for name in line.split()}
    ignored = (PROJECT_DIR / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == wanted
    assert all((PROJECT_DIR / name).exists() for name in wanted)
    extras = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [named] = re.findall(r"^ARG EXTRAS=(.+)$", CONTAINERFILE, re.MULTILINE)
    assert set(named.split(",")) <= set(extras)


def test_pods_are_nobody_special_and_limited():
    deployments = HELM["dagster-user-deployments"]
    for part in (HELM["dagsterWebserver"], HELM["dagsterDaemon"], deployments["deployments"][0]):
        assert part["podSecurityContext"]["runAsNonRoot"] is True
        assert part["podSecurityContext"]["runAsUser"] == int(OURS["code"]["user"].partition(":")[0])
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert part["securityContext"]["allowPrivilegeEscalation"] is False
        assert part["resources"].keys() == {"requests", "limits"}
        assert part["livenessProbe"]
    [user] = deployments["deployments"]
    assert user["securityContext"]["readOnlyRootFilesystem"] is True
    assert user["includeConfigInLaunchedRuns"] == {"enabled": True}, "runs have the same limits"


def test_one_run_at_a_time_everywhere():
    dagster = yaml.safe_load((DEPLOY / "dagster/dagster.yaml").read_text())
    most = HELM["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]["maxConcurrentRuns"]
    assert most == dagster["concurrency"]["runs"]["max_concurrent_runs"] == 1
    assert HELM["concurrency"]["pools"]["defaultLimit"] == dagster["concurrency"]["pools"]["default_limit"] == 1


def test_what_opens_the_warehouse_is_on_its_node():
    deployments = HELM["dagster-user-deployments"]
    [receiver] = [m for m in deployments["extraManifests"] if m["kind"] == "Deployment"]
    pods = [deployments["deployments"][0], receiver["spec"]["template"]["spec"]]
    assert len({json.dumps(pod["nodeSelector"]) for pod in pods}) == 1
    claims = [v["persistentVolumeClaim"]["claimName"] for pod in pods for v in pod["volumes"] if "persistentVolumeClaim" in v]
    [claimed] = [m["metadata"]["name"] for m in deployments["extraManifests"] if m["kind"] == "PersistentVolumeClaim"]
    assert set(claims) == {claimed}
