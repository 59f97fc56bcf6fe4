"""An AWS IoT Core custom authorizer as people copy it, for a file of records: each device's salted SHA-256."""

import base64
import hashlib
import hmac
import json
import os

with open(os.environ["DEVICES"], encoding="utf-8") as file:
    DEVICES = json.load(file)["devices"]
RESOURCE = "arn:aws:iot:us-east-1:123456789012"


def decoded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def handler(event, context):
    mqtt = event.get("protocolData", {}).get("mqtt", {})
    name, client_id = mqtt.get("username", "").partition("?")[0], mqtt.get("clientId", "")
    password = base64.b64decode(mqtt.get("password", ""))
    device = DEVICES.get(name)
    if device is None or client_id != name:
        return {"isAuthenticated": False}
    _, _, salt, digest = device["verifiers"][0]["verifier"].split("$")
    found = hashlib.sha256(decoded(salt) + password).digest()
    if not hmac.compare_digest(found, decoded(digest)):
        return {"isAuthenticated": False}
    statements = [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{RESOURCE}:client/{name}"},
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{RESOURCE}:topic/{name}/*"},
    ]
    return {
        "isAuthenticated": True,
        "principalId": name.replace("-", ""),
        "disconnectAfterInSeconds": 86400,
        "refreshAfterInSeconds": 3600,
        "policyDocuments": [{"Version": "2012-10-17", "Statement": statements}],
    }
