"""Writes target/sbom.cdx.json: what the function, the programs and the deployment are made of, as CycloneDX 1.6.

Cargo, npm and PyPI each have tools that write an SBOM of their own packages. One document of all three needs no more than
the lock files, which have the name, the version and the hash of each package, and `cargo metadata`, which knows which of
the crates are linked into a program for Linux: build and development dependencies are not in it.
"""

import base64
import json
import pathlib
import re
import subprocess
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The function's binary, and the programs that people install.
PROGRAMS = ["authorizer", "latchkey"]
PLATFORM = "x86_64-unknown-linux-gnu"
# What builds the function, with `pip install --require-hashes`.
PYTHON = ["infra/tools/cargo-lambda.txt"]
# A crate of a registry in Cargo.lock.
PACKAGE = re.compile(r'^name = "(.*)"\nversion = "(.*)"\nsource = ".*"\nchecksum = "(.*)"$', re.MULTILINE)
# npm's hashes, by CycloneDX's names.
ALGORITHMS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def main():
    components = {**crates(), **npm_packages(), **python_packages()}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "latchkey", "version": workspace_version()}},
        "components": [components[purl] for purl in sorted(components)],
    }
    path = ROOT / "target/sbom.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    print(f"{len(components)} components in {path.relative_to(ROOT)}")


def crates():
    """The crates that the programs link, with all of their features."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", PLATFORM]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [id for id, package in packages.items() if package["name"] in PROGRAMS and package["source"] is None]
    linked = set()
    while waiting:
        id = waiting.pop()
        if id not in linked:
            linked.add(id)
            waiting += [it["pkg"] for it in nodes[id]["deps"] if any(kind["kind"] is None for kind in it["dep_kinds"])]
    lock = (ROOT / "Cargo.lock").read_text()
    checksums = {(name, version): checksum for name, version, checksum in PACKAGE.findall(lock)}
    found = {}
    for package in (packages[id] for id in linked if packages[id]["source"] is not None):
        name, version = package["name"], package["version"]
        add(found, "cargo", name, version, [("SHA-256", checksums[name, version])], package["license"])
    return found


def npm_packages():
    """The packages of the CDK app: it runs at a deploy, and a part of it is in the templates."""
    lock = json.loads((ROOT / "infra/package-lock.json").read_text())
    found = {}
    for path, package in lock["packages"].items():
        if path:
            name = path.rpartition("node_modules/")[2]
            hashes = [integrity(it) for it in package.get("integrity", "").split()]
            add(found, "npm", name, package["version"], hashes, package.get("license"))
    return found


def integrity(text):
    algorithm, _, digest = text.partition("-")
    return ALGORITHMS[algorithm], base64.b64decode(digest).hex()


def python_packages():
    found = {}
    for path in PYTHON:
        for entry in (ROOT / path).read_text().replace("\\\n", " ").splitlines():
            name, version = re.match(r"([\w.-]+)(?:\[.*\])?==([^\s;]+)", entry).groups()
            # One hash for each file of the release: a machine downloads one of them.
            add(found, "pypi", name, version, [("SHA-256", it) for it in re.findall(r"sha256:([0-9a-f]{64})", entry)])
    return found


def add(found, kind, name, version, hashes, license=None):
    purl = f"pkg:{kind}/{urllib.parse.quote(name)}@{urllib.parse.quote(version)}"
    component = {"type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version}
    if hashes:
        component["hashes"] = [{"alg": algorithm, "content": digest} for algorithm, digest in sorted(hashes)]
    if license:
        component["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", license)}]
    found[purl] = component


def workspace_version():
    return re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


if __name__ == "__main__":
    main()
