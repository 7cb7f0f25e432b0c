"""What `kubectl kustomize` makes of a folder, as far as ours ask: anything else in a kustomization is refused."""

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

type Manifest = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "resources", "nameSuffix", "namespace", "labels", "patches", "images", "components"}
_CLUSTER_WIDE = {"Namespace"}
_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath", "ports": "containerPort"}
"""By which field Kubernetes merges a list; others are replaced."""


def rendered(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization. Raises AssertionError for what this does not know."""
    said = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    assert set(said) <= _KNOWN, f"{folder}: {set(said) - _KNOWN}"
    found = [each for name in said.get("resources", ()) for each in _resources(folder / name)]
    for patch in said.get("patches", ()):
        _patch(found, patch)
    if suffix := said.get("nameSuffix"):
        _rename(found, suffix)
    for labels in said.get("labels", ()):
        assert set(labels) == {"pairs", "includeSelectors"}, labels
        for each in found:
            _label(each, labels["pairs"])
    for image in said.get("images", ()):
        for container in (one for each in found for one in containers(each)):
            if container["image"] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    if namespace := said.get("namespace"):
        for each in found:
            if each["kind"] not in _CLUSTER_WIDE:
                each["metadata"]["namespace"] = namespace
    for name in said.get("components", ()):
        found += rendered(folder / name)
    return found


def pods(manifest: Manifest) -> list[Manifest]:
    """Return the pod templates of a manifest: one, or none."""
    template = manifest.get("spec", {}).get("template") if manifest["kind"] in ("Deployment", "Job") else None
    return [template] if template else []


def containers(manifest: Manifest) -> list[Manifest]:
    """Return the containers of a manifest's pods, those first that run before the others."""
    specs = [pod["spec"] for pod in pods(manifest)]
    return [container for spec in specs for container in (*spec.get("initContainers", ()), *spec["containers"])]


def _resources(path: Path) -> list[Manifest]:
    return rendered(path) if path.is_dir() else [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each]


def _patch(manifests: list[Manifest], said: Manifest) -> None:
    assert set(said) <= {"patch", "target"}, said
    patch = yaml.safe_load(said["patch"])
    if isinstance(patch, list):
        assert set(said["target"]) <= {"kind", "labelSelector"}, said
        label, _, value = said["target"].get("labelSelector", "").partition("=")
        matching = [
            each
            for each in manifests
            if each["kind"] == said["target"]["kind"]
            and (not label or each["metadata"].get("labels", {}).get(label) == value)
        ]
        assert matching, f"no {said['target']} to patch"
        for each in matching:
            for operation in patch:
                _operate(each, **operation)
        return
    name = (patch["kind"], patch["metadata"]["name"])
    [matching] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == name]
    _merge(matching, patch)


def _operate(manifest: Manifest, op: str, path: str, value: Any = None) -> None:
    *way, last = path.removeprefix("/").split("/")
    place: Any = manifest
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    assert last in place, f"{path} is not there"
    if op == "remove":
        del place[last]
    else:
        assert op == "replace", op
        place[last] = copy.deepcopy(value)


def _merge(onto: Manifest, patch: Mapping[str, Any]) -> None:
    for name, value in patch.items():
        if isinstance(value, Mapping) and isinstance(onto.get(name), dict):
            _merge(onto[name], value)
        elif isinstance(value, list) and name in _KEYS and name in onto:
            _merge_lists(onto[name], value, _KEYS[name])
        else:
            onto[name] = copy.deepcopy(value)


def _merge_lists(onto: list[Manifest], patch: list[Manifest], key: str) -> None:
    new = []
    for item in patch:
        same = [each for each in onto if each[key] == item[key]]
        if same:
            _merge(same[0], item)
        else:
            new.append(copy.deepcopy(item))
    onto[:0] = new


def _rename(manifests: Iterable[Manifest], suffix: str) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for each in manifests:
        each["metadata"]["name"] += suffix
        for pod in pods(each):
            for volume in pod["spec"].get("volumes", ()):
                claim = volume.get("persistentVolumeClaim")
                if claim and ("PersistentVolumeClaim", claim["claimName"]) in names:
                    claim["claimName"] += suffix


def _label(manifest: Manifest, pairs: Mapping[str, str]) -> None:
    def add(place: Manifest, name: str) -> None:
        place.setdefault(name, {}).update(pairs)

    selectors: dict[str, Callable[[Manifest], Manifest]] = {
        "Deployment": lambda spec: spec["selector"].setdefault("matchLabels", {}),
        "PodDisruptionBudget": lambda spec: spec["selector"].setdefault("matchLabels", {}),
        "Service": lambda spec: spec["selector"],
    }
    add(manifest["metadata"], "labels")
    if manifest["kind"] in selectors:
        selectors[manifest["kind"]](manifest["spec"]).update(pairs)
    for pod in pods(manifest):
        add(pod.setdefault("metadata", {}), "labels")
        for spread in pod["spec"].get("topologySpreadConstraints", ()):
            add(spread["labelSelector"], "matchLabels")
