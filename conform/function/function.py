"""The function of `latchkey conform`: a Lambda authorizer that answers as a script says.

A client presents `KEY.SCRIPT` somewhere: in its user name, its password, a header, the query string or its token. KEY is the
secret of one run, of which the function has the digest only; SCRIPT is a key of scripts.json, which came with the function.
Without both the answer is a refusal, so that nobody but the run's own client gets an answer that allows something.

Each event is written out in one line of JSON without KEY, so that the run can read what the function saw.

In Lambda the runtime calls `handler`. On a developer's machine the file is a program, and asks the Runtime API itself.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import time
import urllib.request

FOLDER = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(FOLDER, "scripts.json"), encoding="utf-8") as file:
    # By their names; `later` is the time, in seconds since 1970, at which some of them change.
    SCRIPTS = json.load(file)
KEY_SHA256 = os.environ["CONFORM_KEY_SHA256"]
PRESENTED = re.compile(r"([0-9a-f]{32})\.([a-z0-9][a-z0-9.-]*)")
REFUSAL = {
    "isAuthenticated": False,
    "principalId": "conform",
    "policyDocuments": [
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    ],
    "refreshAfterInSeconds": 86400,
    "disconnectAfterInSeconds": 86400,
}


def handler(event, context=None):
    readable = with_readable_password(event)
    for key, script in PRESENTED.findall(json.dumps(readable, ensure_ascii=False)):
        digest = hashlib.sha256(key.encode()).hexdigest()
        if hmac.compare_digest(digest, KEY_SHA256) and script in SCRIPTS:
            report(script, key, readable)
            return play(SCRIPTS[script])
    return REFUSAL


def with_readable_password(event):
    """The event with the password as text: that of MQTT, and that of `Authorization: Basic`."""
    data = dict(event.get("protocolData", {}))
    if "password" in data.get("mqtt", {}):
        data["mqtt"] = {**data["mqtt"], "password": readable("", data["mqtt"]["password"])}
    headers = data.get("http", {}).get("headers", {})
    if headers.get("authorization", "").startswith("Basic "):
        shown = readable("Basic ", headers["authorization"][len("Basic ") :])
        data["http"] = {**data["http"], "headers": {**headers, "authorization": shown}}
    return {**event, "protocolData": data} if data else event


def readable(prefix, encoded):
    """What was encoded, if it is text in standard base64; else the value as it is."""
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return prefix + encoded
    if base64.b64encode(text.encode()).decode() != encoded:
        return prefix + encoded
    return prefix + "base64 of " + text


def report(script, key, event):
    line = json.dumps({"conform": script, "event": event}).replace(key, "KEY")
    path = os.environ.get("CONFORM_EVENTS")
    if path is None:
        print(line, flush=True)
        return
    # One write, so that instances that write at the same time don't mix their lines.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, (line + "\n").encode())
    finally:
        os.close(file)


def play(script):
    if script.get("raises"):
        raise RuntimeError("the script says so")
    time.sleep(script.get("seconds", 0))
    if "later" in script and time.time() > SCRIPTS["later"]:
        return {**script["returns"], **script["later"]}
    return script["returns"]


def main():
    """Asks the Runtime API for events, as Lambda's own runtime does (Lambda developer guide, `runtimes-api`)."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    address = address if "://" in address else "http://" + address
    calls = address.rstrip("/") + "/2018-06-01/runtime/invocation/"
    # The API is on this machine: no proxy of the environment leads to it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with opener.open(calls + "next") as answer:
            call, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        try:
            kind, body = "/response", handler(event)
        except Exception as error:  # pylint: disable=broad-except
            kind, body = "/error", {"errorMessage": str(error), "errorType": type(error).__name__}
        opener.open(calls + call + kind, json.dumps(body).encode()).close()


if __name__ == "__main__":
    main()
