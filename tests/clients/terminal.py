"""Runs commands on a terminal of 80 columns, or with a reader that goes away, and reports what they wrote."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios


def on_terminal(attempt):
    """The bytes that a command writes to a terminal, whose line ends are those of a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **attempt.get("variables", {})}
    process = subprocess.Popen(
        attempt["command"], cwd=attempt["folder"], env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, attempt.get("typed", "").encode())
    written = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:
            break
        if not some:
            break
        written += some
    os.close(ours)
    return {"text": written.decode().replace("\r\n", "\n"), "code": process.wait()}


def with_closed_reader(attempt):
    """What a command does whose reader goes away before the first byte."""
    ours, theirs = os.pipe()
    os.close(ours)
    process = subprocess.Popen(
        attempt["command"], cwd=attempt["folder"], env={**os.environ, **attempt.get("variables", {})},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
    )
    os.close(theirs)
    _, errors = process.communicate()
    return {"text": errors.decode(), "code": process.returncode}


for number, attempt in enumerate(json.load(sys.stdin)):
    run = with_closed_reader if attempt.get("closed") else on_terminal
    print(json.dumps({"attempt": number, **run(attempt)}), flush=True)
