"""The fixtures, and the gateway's log in the report of a test that failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from .gateway import Device, Gateway

#: The log lines that a failed test shows at most.
SHOWN_LINES = 60

_position = pytest.StashKey[tuple[Gateway, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("latchkey")
    group.addoption("--latchkey", metavar="PROGRAM", help="the program `latchkey`, if it is not on the PATH")


@pytest.fixture(scope="session")
def latchkey_settings() -> str | None:
    """The text of the gateway's settings file. Override it to set quotas, authorizers or Things."""
    return None


@pytest.fixture(scope="session")
def latchkey_gateway(request: pytest.FixtureRequest, latchkey_settings: str | None) -> Iterator[Gateway]:
    """One gateway for all tests of the session."""
    program = request.config.getoption("--latchkey")
    with Gateway(program=program, settings=latchkey_settings) as gateway:
        yield gateway


@pytest.fixture
def latchkey(request: pytest.FixtureRequest, latchkey_gateway: Gateway) -> Iterator[Gateway]:
    """The session's gateway, without the faults that earlier tests set."""
    latchkey_gateway.clear_faults()
    request.node.stash[_position] = (latchkey_gateway, len(latchkey_gateway.log()))
    yield latchkey_gateway
    latchkey_gateway.clear_faults()


@pytest.fixture
def latchkey_device(request: pytest.FixtureRequest, latchkey: Gateway) -> Callable[..., Device]:
    """Makes devices whose names no other test has: `latchkey_device()` or `latchkey_device(grant="sht20")`."""
    made = 0

    def make(grant: str = "own-topics") -> Device:
        nonlocal made
        made += 1
        # A device's name has no brackets, which a parametrized test's has.
        test = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in request.node.name)
        return latchkey.device(f"{test[:80]}-{made}-{id(request.node) % 100_000}", grant)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    known = item.stash.get(_position, None)
    if report.when == "call" and report.failed and known is not None:
        gateway, position = known
        lines = gateway.log()[position:]
        shown = [json.dumps(line, ensure_ascii=True) for line in lines[-SHOWN_LINES:]]
        if len(lines) > SHOWN_LINES:
            shown.insert(0, f"({len(lines) - SHOWN_LINES} lines before these are left out)")
        report.sections.append(("the gateway's log during the test", "\n".join(shown) or "(no line)"))
    return report
