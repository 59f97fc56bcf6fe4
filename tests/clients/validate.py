"""Validates JSON documents against a JSON schema: reads `{"schema": PATH, "documents": [...]}`, and reports each error."""

import json
import sys

import jsonschema

work = json.load(sys.stdin)
with open(work["schema"], encoding="utf-8") as file:
    schema = json.load(file)
validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
validator.check_schema(schema)
for number, document in enumerate(work["documents"]):
    for error in validator.iter_errors(document):
        print(json.dumps({"document": number, "place": error.json_path, "error": error.message}))
