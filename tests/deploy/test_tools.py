"""The files of deploy/ read by tools that know their formats: no container and no cluster is there to run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_pipelines.config import PROJECT_DIR
from tests.deploy.test_files import COMPOSE, DEPLOY, HELM, SERVICES

pytestmark = pytest.mark.scale
KUBERNETES = "1.33"


def test_compose_s_own_rules():
    compose_spec = pytest.importorskip("compose_spec", reason="comes with make scale-setup")
    # As YAML reads it: the tool applies merge keys once, and not those of what it merged.
    read = compose_spec.PyCompose.from_json(json.dumps(COMPOSE))
    read.validate()
    assert set(read.service_names()) == set(SERVICES)
    wrong = json.dumps(COMPOSE).replace('"interval": "10s"', '"interval": "soon"', 1)
    with pytest.raises(ValueError, match=r"soon|duration|invalid"):
        compose_spec.PyCompose.from_json(wrong)


def test_hadolint_finds_nothing_in_the_containerfile():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint comes with make scale-setup")
    done = subprocess.run([hadolint, "--no-color", DEPLOY / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_manifests_beside_the_chart_are_kubernetes_own():
    validate = pytest.importorskip("kubernetes_validate", reason="comes with make scale-setup")
    manifests = HELM["dagster-user-deployments"]["extraManifests"]
    assert [m["kind"] for m in manifests] == ["PersistentVolumeClaim", "Deployment", "Service"]
    for manifest in manifests:
        validate.validate(manifest, KUBERNETES, strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**manifests[2], "spec": {**manifests[2]["spec"], "port": 80}}, KUBERNETES, strict=True)


def test_the_pod_of_a_run_as_dagster_makes_it():
    """What the chart hands to Dagster's launcher for a run of the code deployment, rendered by the launcher's own code."""
    pytest.importorskip("dagster_k8s", reason="comes with make scale-setup")
    from dagster import DagsterRun
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job

    user, launcher = HELM["dagster-user-deployments"]["deployments"][0], HELM["runLauncher"]["config"]["k8sRunLauncher"]
    run = K8sRunLauncher(
        dagster_home=HELM["global"]["dagsterHome"],
        instance_config_map="dagster-instance",
        postgres_password_secret=HELM["global"]["postgresqlSecretName"],
        service_account_name="dagster",
        load_incluster_config=False,
        kubeconfig_file=str(kubeconfig()),
        image_pull_policy=launcher["imagePullPolicy"],
        fail_pod_on_run_failure=launcher["failPodOnRunFailure"],
        run_k8s_config=snake(launcher["runK8sConfig"]),
    )
    # As `includeConfigInLaunchedRuns` hands it on.
    context = K8sContainerContext.create_from_config(
        {
            "k8s": {
                "env_vars": [f"{e['name']}={e['value']}" for e in user["env"]],
                "env_secrets": [s["name"] for s in user["envSecrets"]],
                "volumes": user["volumes"],
                "volume_mounts": user["volumeMounts"],
                "resources": user["resources"],
                "security_context": user["securityContext"],
                "run_k8s_config": {
                    "pod_spec_config": {"node_selector": user["nodeSelector"], "security_context": user["podSecurityContext"]}
                },
            }
        }
    )
    merged = K8sContainerContext.create_for_run(DagsterRun(job_name="sync"), run, include_run_tags=False).merge(context)
    config = merged.get_k8s_job_config(f"{user['image']['repository']}:{user['image']['tag']}", run)
    job = construct_dagster_k8s_job(config, ["dagster", "api", "execute_run"], "run", merged.run_k8s_config).to_dict()
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "registry.example.internal/cdp-pipelines:0.1.0"
    assert container["resources"]["limits"] == user["resources"]["limits"]
    assert container["security_context"]["read_only_root_filesystem"] is True
    assert pod["security_context"]["run_as_non_root"] is True
    assert pod["node_selector"] == user["nodeSelector"]
    assert {"name": "CDP_DATA_DIR", "value": "/data"}.items() <= next(e for e in container["env"] if e["name"] == "CDP_DATA_DIR").items()
    assert {"data", "tmp"} <= {volume["name"] for volume in pod["volumes"]}
    assert job["spec"]["backoff_limit"] == 0, "it is Dagster that starts a run again"


def snake(value: object) -> object:
    """The chart's names as Dagster's own."""
    import re

    if isinstance(value, dict):
        return {re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: f"_{m[1].lower()}", name): snake(inner) for name, inner in value.items()}
    return value


def kubeconfig() -> Path:
    """Where a cluster would be; nobody is asked."""
    return PROJECT_DIR / "tests" / "deploy" / "kubeconfig.yaml"
