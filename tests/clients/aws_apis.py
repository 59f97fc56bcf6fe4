"""Calls of boto3, and requests signed by botocore: reads a list of attempts as JSON, writes what happens as JSON lines.

An attempt with `operation` is a call of boto3: `client` ("iot", "iot-data", "dynamodb"), `operation` (as "CreateThing") and
`input`. Its event has the answer in `output`, or `error` (name), `message` and `status`; `problems` says what in the answer is
not as botocore's model of the API has it.

An attempt with `violate` (an operation of AWS IoT) is one call for each member of its input that the model constrains, with a
value that does not meet the constraint. Its events have `member`, `constraint`, `error` and `message`.

An attempt with `path` is a request of its own: `method`, `path`, `body` (or `body_bytes`, its length), `headers` (which replace
what was signed), `service`, `seconds` (by which the clock is ahead), `secret`, and `times` (how often the same request is
sent). Its event has `status`, `type` (the exception's name) and `body`.

Endpoint, region and key come from the environment.
"""

import base64
import datetime
import http.client
import json
import os
import sys
import urllib.parse

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

REGION = os.environ["AWS_REGION"]
ENDPOINT = os.environ["AWS_ENDPOINT_URL_IOT"]
CONFIG = Config(parameter_validation=False, retries={"total_max_attempts": 1})
# What any operation may answer with, besides the errors of its model.
ANY = {
    "ForbiddenException", "NotImplementedException", "RequestEntityTooLargeException", "SerializationException",
    "InvalidSignatureException",
}
TYPES = {
    "string": str, "boolean": bool, "integer": int, "long": int, "float": (int, float), "double": (int, float),
    "timestamp": (int, float), "structure": dict, "map": dict, "list": list, "blob": str,
}

clients = {}


def client(name):
    if name not in clients:
        clients[name] = boto3.client(name, config=CONFIG)
        clients[name].raw = {}
        clients[name].meta.events.register(
            "before-parse", lambda response_dict, **_: clients[name].raw.update(response_dict)
        )
    return clients[name]


def problems(value, shape, where):
    """What in a JSON value is not as the shape has it: other members, absent ones, types, texts outside their pattern."""
    if not isinstance(value, TYPES[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{where}: {value!r} is not a {shape.type_name}"
    elif shape.type_name == "structure":
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name in shape.required_members:
            if shape.members[name].serialization.get("name", name) not in value:
                yield f"{where}: {name} is absent"
        for name, inner in value.items():
            if name.startswith("latchkey"):
                # An extension of the gateway's, which SDKs ignore.
                continue
            if name not in names:
                yield f"{where}: there is no member {name}"
            elif inner is not None:
                yield from problems(inner, names[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            yield from problems(inner, shape.member, f"{where}[]")
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from problems(name, shape.key, f"{where} (key)")
            yield from problems(inner, shape.value, f"{where}.{name}")
    elif shape.type_name == "string":
        bounds = shape.metadata
        if not bounds.get("min", 0) <= len(value) <= bounds.get("max", len(value)):
            yield f"{where}: the length of {value!r}"
        if "enum" in bounds and value not in bounds["enum"]:
            yield f"{where}: {value!r} is none of {bounds['enum']}"


def plain(value):
    """A parsed answer as JSON."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if hasattr(value, "read"):
        value = value.read()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def call(task):
    used = client(task["client"])
    model = used.meta.service_model.operation_model(task["operation"])
    # The paginators' and the methods' names are the operations' in snake case.
    method = next(name for name, operation in used.meta.method_to_api_mapping.items() if operation == task["operation"])
    try:
        output = plain(getattr(used, method)(**task["input"]))
    except ClientError as error:
        name = error.response["Error"]["Code"]
        known = {shape.name for shape in model.error_shapes} | ANY
        return {
            "error": name, "message": error.response["Error"]["Message"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            "members": {k: v for k, v in error.response.items() if k not in ("Error", "ResponseMetadata", "message")},
            "problems": [] if name in known else [f"{name} is not an error of {task['operation']}"],
        }
    found, body = [], None
    shape = model.output_shape
    # What DynamoDB answers is the emulator's.
    if task["client"] != "dynamodb" and shape is not None and "payload" not in shape.serialization:
        body = json.loads(used.raw["body"] or b"{}")
        found = list(problems(body, shape, task["operation"]))
    return {"output": output, "body": body, "problems": found}


def texts(shape, where=()):
    """The constrained texts of an input: where each is, and its shape."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from texts(member, (*where, name))
    elif shape.type_name == "list":
        yield from texts(shape.member, (*where, None))
    elif shape.type_name == "string" and {"pattern", "max", "min", "enum"} & set(shape.metadata):
        yield where, shape


def valid(shape):
    """A value that meets the constraints of a shape, with the required members alone."""
    if shape.type_name == "structure":
        return {name: valid(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [valid(shape.member)]
    if shape.type_name == "map":
        return {}
    if shape.type_name != "string":
        return {"boolean": True}.get(shape.type_name, 1)
    if "enum" in shape.metadata:
        return shape.metadata["enum"][0]
    return "a" * max(1, shape.metadata.get("min", 1)) if "0-9]+" != shape.metadata.get("pattern", "")[-5:] else "1"


def put(value, where, inner, shape):
    """Puts a value into an input, and makes what is on the way to it."""
    name, rest = where[0], where[1:]
    if name is None:
        value[:] = [inner] if not rest else [valid(shape.member)]
        return put(value[0], rest, inner, shape.member) if rest else None
    member = shape.members[name]
    if not rest:
        value[name] = inner
        return None
    if name not in value:
        value[name] = [] if member.type_name == "list" else {}
    return put(value[name], rest, inner, member)


def shape_location(shape, where):
    """Where the member of an input goes: `header`, for example."""
    return shape.members[where[0]].serialization.get("location")


def violate(operation):
    model = client("iot").meta.service_model.operation_model(operation)
    for where, shape in texts(model.input_shape):
        bounds = shape.metadata
        values = []
        # A tag's pattern, and one that any text meets, are left out; so is what a path can't have.
        if "pattern" in bounds and not bounds["pattern"].startswith(("[\\s", "^")):
            # Headers are ASCII.
            wrong = "!~" if shape_location(model.input_shape, where) == "header" else "!\u00e9"
            values.append(("pattern", wrong + "a" * max(0, bounds.get("min", 0) - 2)))
        if "enum" in bounds:
            values.append(("enum", "NO_SUCH_VALUE"))
        if bounds.get("max", 10**9) < 10_000:
            values.append(("max", "a" * (bounds["max"] + 1)))
        for constraint, value in values:
            arguments = valid(model.input_shape)
            put(arguments, where, value, model.input_shape)
            answer = call({"client": "iot", "operation": operation, "input": arguments})
            yield {
                "member": ".".join(name or "[]" for name in where), "constraint": constraint,
                "error": answer.get("error"), "message": answer.get("message"),
            }


class ShiftedAuth(botocore.auth.SigV4Auth):
    """Signs as of another time."""

    seconds = 0

    def add_auth(self, request):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.seconds)
        original = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *args, **kwargs: now.replace(tzinfo=None)
        try:
            super().add_auth(request)
        finally:
            botocore.auth.get_current_datetime = original


def send(task):
    body = task.get("body", "") if "body_bytes" not in task else "x" * task["body_bytes"]
    secret = task.get("secret", os.environ["AWS_SECRET_ACCESS_KEY"])
    auth = ShiftedAuth(Credentials(os.environ["AWS_ACCESS_KEY_ID"], secret), task.get("service", "iot"), REGION)
    auth.seconds = task.get("seconds", 0)
    request = AWSRequest(method=task["method"], url=ENDPOINT + task["path"], data=body.encode())
    auth.add_auth(request)
    headers = dict(request.headers.items())
    for name, value in task.get("headers", {}).items():
        headers.pop(next((known for known in headers if known.lower() == name.lower()), name), None)
        if value is not None:
            headers[name] = value
    events = []
    for _ in range(task.get("times", 1)):
        connection = http.client.HTTPConnection(urllib.parse.urlparse(ENDPOINT).netloc, timeout=20)
        connection.request(task["method"], task["path"], body=body.encode(), headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        events.append({
            "status": answer.status, "type": answer.headers.get("x-amzn-ErrorType"),
            "id": answer.headers.get("x-amzn-RequestId"), "body": json.loads(text) if text else None,
        })
    return events


for number, task in enumerate(json.load(sys.stdin)):
    if "violate" in task:
        events = violate(task["violate"])
    else:
        events = [call(task)] if "operation" in task else send(task)
    for event in events:
        print(json.dumps({"attempt": number, **event}), flush=True)
