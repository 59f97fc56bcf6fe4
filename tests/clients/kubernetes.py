"""Validates the resources in a file against Kubernetes' schemas, and prints each as JSON; an unknown field is an error."""

import json
import sys

import kubernetes_validate
import yaml

version = sys.argv[2]
with open(sys.argv[1], encoding="utf-8") as file:
    for resource in yaml.safe_load_all(file):
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            print(f"{list(error.path)}: {error.message}", file=sys.stderr)
            sys.exit(1)
        print(json.dumps(resource))
