"""HTTPS publishes by requests and by Python's http.client: reads a list of attempts as JSON, writes what happens as JSON
lines.

An attempt: library ("requests" or "http.client"), port, ca, alpn (a protocol for http.client, or null), certificate
(a list of two paths, or null), topic and payload.
"""

import http.client
import json
import ssl
import sys

import requests

HOST = "localhost"
LIMIT_SECONDS = 20


def by_requests(task):
    url = f"https://{HOST}:{task['port']}/topics/{task['topic']}?qos=1"
    certificate = tuple(task["certificate"]) if task["certificate"] else None
    answer = requests.post(url, data=task["payload"], cert=certificate, verify=task["ca"], timeout=LIMIT_SECONDS)
    return answer.status_code, answer.json()


def by_http_client(task):
    context = ssl.create_default_context(cafile=task["ca"])
    if task["alpn"] is not None:
        context.set_alpn_protocols([task["alpn"]])
    if task["certificate"] is not None:
        context.load_cert_chain(*task["certificate"])
    connection = http.client.HTTPSConnection(HOST, task["port"], timeout=LIMIT_SECONDS, context=context)
    connection.request("POST", f"/topics/{task['topic']}?qos=1", body=task["payload"])
    answer = connection.getresponse()
    return answer.status, json.load(answer)


def cause(error):
    """What went wrong, however deep it is wrapped.

    With TLS 1.3 a client's own handshake is done before the server says no, so that its request may cross the alert;
    and Python knows no name for some alerts. So they are all one.
    """
    inner = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return "server_not_trusted"
        if isinstance(inner, (ssl.SSLError, ConnectionResetError, BrokenPipeError)):
            return "ended_by_server"
        # urllib3 and requests put what they wrap among an error's arguments.
        wrapped = [value for value in (getattr(inner, "reason", None), *inner.args) if isinstance(value, Exception)]
        inner = inner.__cause__ or inner.__context__ or next(iter(wrapped), None)
    return type(error).__name__


LIBRARIES = {"requests": by_requests, "http.client": by_http_client}

for number, task in enumerate(json.load(sys.stdin)):
    try:
        status, body = LIBRARIES[task["library"]](task)
        event = {"event": "answered", "status": status, "message": body["message"], "trace_id": body["traceId"]}
    except (OSError, http.client.HTTPException) as error:
        event = {"event": "failed", "reason": cause(error)}
    print(json.dumps({"attempt": number, **event}), flush=True)
