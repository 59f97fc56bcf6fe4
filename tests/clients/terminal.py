"""Runs commands on a terminal, of 80 columns unless another size is given, or with a reader that goes away, and reports what they wrote."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios


def on_terminal(attempt):
    """The bytes that a command writes to a terminal, whose line ends are those of a terminal."""
    ours, theirs = pty.openpty()
    size = (attempt.get("rows", 24), attempt.get("columns", 80))
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **attempt.get("variables", {})}
    process = subprocess.Popen(
        attempt["command"], cwd=attempt["folder"], env=environment, stdin=theirs, stderr=theirs,
        stdout=subprocess.PIPE if attempt.get("piped") else theirs, start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, attempt.get("typed", "").encode())
    written = b""
    # What has to be on the terminal before Ctrl-C is pressed.
    awaited = attempt.get("interrupt_after", "").encode()
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:
            break
        if not some:
            break
        written += some
        if awaited and awaited in written:
            awaited = b""
            process.send_signal(signal.SIGINT)
    os.close(ours)
    piped = process.stdout.read().decode() if attempt.get("piped") else None
    return {"text": written.decode().replace("\r\n", "\n"), "piped": piped, "code": process.wait()}


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
