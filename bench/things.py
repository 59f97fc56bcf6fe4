"""Creates Things by CreateThing as fast as the gateway answers. It signs all requests first, and then sends them over several
connections, 20 at a time on each.

Usage: eval "$(latchkey local env)" && python3 bench/things.py [NUMBER [CONNECTIONS]]
"""

import datetime
import hashlib
import hmac
import os
import socket
import sys
import threading
import time
import urllib.parse

NUMBER = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
CONNECTIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 32
IN_FLIGHT = 20
ADDRESS = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL_IOT"]).netloc
KEY, SECRET, REGION = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
NOW = datetime.datetime.now(datetime.timezone.utc)
STAMP = NOW.strftime("%Y%m%dT%H%M%SZ")
SCOPE = f"{NOW:%Y%m%d}/{REGION}/iot/aws4_request"
BODY = b'{"attributePayload":{"attributes":{"site":"lab"}}}'


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def signing_key():
    key = f"AWS4{SECRET}".encode()
    for part in SCOPE.split("/"):
        key = sign(key, part).digest()
    return key


def request(key, n):
    path = f"/things/bench-{n:06}"
    payload = hashlib.sha256(BODY).hexdigest()
    canonical = f"POST\n{path}\n\nhost:{ADDRESS}\nx-amz-date:{STAMP}\n\nhost;x-amz-date\n{payload}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = sign(key, f"AWS4-HMAC-SHA256\n{STAMP}\n{SCOPE}\n{digest}").hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nX-Amz-Date: {STAMP}\r\nContent-Length: {len(BODY)}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE}, SignedHeaders=host;x-amz-date, "
        f"Signature={signature}\r\n\r\n"
    )
    return head.encode() + BODY


def send(requests, failed):
    host, port = ADDRESS.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(requests), IN_FLIGHT):
            batch = requests[start : start + IN_FLIGHT]
            connection.sendall(b"".join(batch))
            answers = b""
            while answers.count(b"HTTP/1.1 ") < len(batch) or not answers.endswith(b"}"):
                data = connection.recv(65_536)
                if not data:
                    sys.exit("the gateway has closed a connection")
                answers += data
            failed.append(len(batch) - answers.count(b"HTTP/1.1 200 "))


key = signing_key()
batches = [[request(key, n) for n in range(first, NUMBER, CONNECTIONS)] for first in range(CONNECTIONS)]
failed = []
threads = [threading.Thread(target=send, args=(batch, failed)) for batch in batches]
began = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seconds = time.monotonic() - began
print(f"{NUMBER} Things in {seconds:.1f} s: {NUMBER / seconds:.0f} a second, {sum(failed)} failed")
