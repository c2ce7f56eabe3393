"""What the real-client tests share: a server, and a symbol that has trades.

CHRONICLE_FLIGHT  grpc://127.0.0.1:8815   the Flight server
CHRONICLE_REST    http://127.0.0.1:8080   the REST server over the same archive
CHRONICLE_SYMBOL  venue:symbol            default: the first one listed with trades
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

import pyarrow.flight as fl
import pytest


def pytest_report_header():
    return f"chronicle: flight {os.environ.get('CHRONICLE_FLIGHT')} rest {os.environ.get('CHRONICLE_REST')}"


def setting(name):
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: see conftest.py", returncode=2)
    return value.rstrip("/")


@dataclass(frozen=True)
class Answer:
    """An answer of the REST server."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


class Rest:
    def __init__(self, base):
        self.base = base

    def get(self, path, **query):
        query = {k: v for k, v in query.items() if v is not None}
        url = f"{self.base}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        try:
            with urllib.request.urlopen(url, timeout=60) as r:
                return Answer(r.status, dict(r.headers), r.read())
        except urllib.error.HTTPError as e:
            return Answer(e.code, dict(e.headers), e.read())


class Flight:
    def __init__(self, client):
        self.client = client

    def info(self, *path, **command):
        """Asks by path, or by command if one is given."""
        if command:
            return self.client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps(command)))
        return self.client.get_flight_info(fl.FlightDescriptor.for_path(*path))

    def table(self, *path, **command):
        info = self.info(*path, **command)
        return self.client.do_get(info.endpoints[0].ticket).read_all()


@pytest.fixture(scope="session")
def rest():
    return Rest(setting("CHRONICLE_REST"))


@pytest.fixture(scope="session")
def flight():
    client = fl.connect(setting("CHRONICLE_FLIGHT"))
    client.wait_for_available(timeout=30)
    with client:
        yield Flight(client)


@pytest.fixture(scope="session")
def symbol(flight):
    """venue and symbol, as path elements."""
    chosen = os.environ.get("CHRONICLE_SYMBOL")
    if chosen:
        return tuple(chosen.split(":"))
    for info in flight.client.list_flights():
        path = [p.decode() for p in info.descriptor.path]
        if path[0] == "trades":
            return tuple(path[1:])
    pytest.exit("the server lists no trades: replay a recording first", returncode=2)


@pytest.fixture(scope="session")
def name(symbol):
    """venue:symbol, as in REST and in commands."""
    return ":".join(symbol)


@pytest.fixture(scope="session")
def trades(flight, name):
    """Some trades: enough for more than one batch where there are so many."""
    return flight.table(schema="trades", symbol=name, limit=50_000)


@pytest.fixture(scope="session")
def moment(trades):
    """A time, in ns, with trades before and after it."""
    times = trades["ts_recv"].cast("int64").to_pylist()
    assert len(times) > 1, "the symbol has too few trades to test with"
    return times[len(times) // 2]


@pytest.fixture(scope="session")
def span(trades, moment):
    """Start and end of a range that is over: what more comes in is not in it."""
    return {"start": trades["ts_recv"].cast("int64").to_pylist()[0], "end": moment + 1}
