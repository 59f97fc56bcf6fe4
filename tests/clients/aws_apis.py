"""Calls of boto3, and requests signed by botocore: reads a list of attempts as JSON, writes what happens as JSON lines.

An attempt with `operation` is a call of boto3: `client` ("iot", "iot-data", "dynamodb"), `operation` (as "CreateThing") and
`input`. Its event has the answer in `output`, or `error` (name), `message` and `status`; `problems` says what in the answer is
not as botocore's model of the API has it.

An attempt with `violate` (an operation of AWS IoT) is one call for each member of its input that the model constrains, with a
value that does not meet the constraint. Its events have `member`, `constraint`, `error` and `message`.

An attempt with `misuse` (an operation of `client`) is one request for each way in which a member of its input can be wrong on the
wire: `absent` (a required one), `type` (a value of another type), `range` (a number), and `token` (the one of the attempt, which
another operation has answered with). Its events have `member`, `wrong`, `error` and `status`.

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
import botocore.serialize
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
    return ("1" if shape.metadata.get("pattern", "").endswith("0-9]+") else "a") * max(1, shape.metadata.get("min", 1))


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
        # A pattern that any text meets is left out; so is what a path can't have.
        if "pattern" in bounds and not bounds["pattern"].startswith("[\\s"):
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


def wrong_members(shape, where=()):
    """The members of a JSON body: where each is, by the names on the wire, and its shape."""
    for name, member in shape.members.items():
        if "location" in member.serialization:
            continue
        path = (*where, member.serialization.get("name", name))
        yield path, member
        if member.type_name == "structure":
            yield from wrong_members(member, path)
        elif member.type_name == "list" and member.member.type_name == "structure":
            yield from wrong_members(member.member, (*path, 0))


def changed(shape, body, path, value):
    """A copy of a JSON body with a value at the path; what is missing on the way has its required members."""
    body = json.loads(json.dumps(body))
    inner = body
    for step in path[:-1]:
        if step == 0:
            shape = shape.member
        else:
            shape = next(m for n, m in shape.members.items() if m.serialization.get("name", n) == step)
            inner.setdefault(step, valid(shape))
        inner = inner[step]
    inner[path[-1]] = value
    return body


def misuse(task):
    used = client(task["client"])
    model = used.meta.service_model.operation_model(task["misuse"])
    shape = model.input_shape
    arguments = valid(shape)
    request = botocore.serialize.create_serializer("rest-json", False).serialize_to_request(arguments, model)
    query, headers = dict(request["query_string"]), dict(request["headers"])
    payload = request["body"]
    body = json.loads(payload) if payload and "payload" not in shape.serialization else {}
    cases = []
    for name in shape.required_members:
        on_wire = shape.members[name].serialization
        wire, location = on_wire.get("name", name), on_wire.get("location")
        if location is None and "payload" not in shape.serialization:
            cases.append((name, "absent", {n: v for n, v in body.items() if n != wire}, query, headers))
        elif location == "querystring":
            cases.append((name, "absent", body, {n: v for n, v in query.items() if n != wire}, headers))
        elif location == "header":
            cases.append((name, "absent", body, query, {n: v for n, v in headers.items() if n != wire}))
    if "payload" not in shape.serialization:
        for path, member in wrong_members(shape):
            value = {"string": 1, "structure": [1], "map": [1], "list": {}}.get(member.type_name, "x")
            cases.append((".".join(map(str, path)), "type", changed(shape, body, path, value), query, headers))
    for name, member in shape.members.items():
        if member.serialization.get("location") != "querystring":
            continue
        wire = member.serialization.get("name", name)
        values = [("type", "x")] if member.type_name in ("integer", "long", "boolean") else []
        values += [("range", str(member.metadata["min"] - 1))] if "min" in member.metadata and values else []
        values += [("range", str(member.metadata["max"] + 1))] if "max" in member.metadata and values else []
        if name in ("nextToken", "marker"):
            values += [("token", task["token"]), ("token", "x")]
        cases += [(name, wrong, body, {**query, wire: value}, headers) for wrong, value in values]
    for member, wrong, body, query, headers in cases:
        path = request["url_path"] + ("?" + urllib.parse.urlencode(query) if query else "")
        signed = AWSRequest(method=model.http["method"], url=ENDPOINT + path, data=json.dumps(body).encode(), headers=headers)
        credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        botocore.auth.SigV4Auth(credentials, model.service_model.signing_name, REGION).add_auth(signed)
        connection = http.client.HTTPConnection(urllib.parse.urlparse(ENDPOINT).netloc, timeout=20)
        connection.request(model.http["method"], path, body=json.dumps(body).encode(), headers=dict(signed.headers.items()))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        yield {
            "member": member, "wrong": wrong, "status": answer.status,
            "error": answer.headers.get("x-amzn-ErrorType"), "text": text[:200],
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
    elif "misuse" in task:
        events = misuse(task)
    else:
        events = [call(task)] if "operation" in task else send(task)
    for event in events:
        print(json.dumps({"attempt": number, **event}), flush=True)
