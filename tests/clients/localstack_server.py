"""LocalStack's community runtime, which plays AWS's services, on a free port of the loopback interface.

It writes its port as one line once it is ready, and ends when its standard input does, so that it never outlives its
test. Whatever it keeps is in the folder that its argument names.
"""

import os
import socket
import sys
import tempfile
import threading
import time
import urllib.request

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
folder = sys.argv[1]
os.environ.update(
    {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "FILESYSTEM_ROOT": folder,
        # No DNS server, and no calls to anybody.
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "EAGER_SERVICE_LOADING": "0",
    }
)
tempfile.tempdir = folder


def tell():
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_localstack/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.05)
    print(port, flush=True)


def end():
    sys.stdin.buffer.read()
    os._exit(0)


for work in (tell, end):
    threading.Thread(target=work, daemon=True).start()

from localstack.runtime.main import main  # noqa: E402  (it reads the environment when it is imported)

main()
