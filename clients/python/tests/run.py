"""Starts a real server over real data and runs the client tests against it.

usage: run.py path/to/chronicle

With the recordings at hand the archive holds one of them, tiered; without, a
simulated market that is running meanwhile.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
DATA = pathlib.Path(os.environ.get("CHRONICLE_TESTDATA", PROJECT.parent / "shared" / "data"))
RECORDING = DATA / "binance" / "usdm-btcusdt-20240808.gz"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(ready, server: subprocess.Popen, what: str) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if server.poll() is not None:
            sys.exit(f"the server ended with status {server.returncode} before {what}")
        if time.monotonic() > deadline:
            sys.exit(f"no {what} after 60 seconds")
        time.sleep(0.1)


def get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except OSError:
        return None


def main(chronicle: str) -> int:
    rest, flight = free_port(), free_port()
    addresses = ["--rest", f"127.0.0.1:{rest}", "--flight", f"127.0.0.1:{flight}"]
    env = dict(os.environ, CHRONICLE_REST=f"http://127.0.0.1:{rest}", CHRONICLE_FLIGHT=f"grpc://127.0.0.1:{flight}")
    env.pop("CHRONICLE_ROOT", None)
    with tempfile.TemporaryDirectory(prefix="chronicle-clients-") as root:
        if RECORDING.exists():
            subprocess.run([chronicle, "replay", "--root", root, "--source", "binance-usdm", str(RECORDING)], check=True)
            subprocess.run([chronicle, "tier", "--once", "--root", root], check=True)
            env["CHRONICLE_SYMBOL"] = "binance-usdm:btc_usdt"
            command = [chronicle, "serve", "--root", root, "--log-level", "warn", *addresses]
        else:
            print(f"{RECORDING} is not here: testing against the simulated market")
            command = [chronicle, "run", "--root", root, "--log-level", "warn", *addresses]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: get(f"http://127.0.0.1:{rest}/healthz"), server, "answer to /healthz")
            wait_until(lambda: b'"trade' in (get(f"http://127.0.0.1:{rest}/v1/symbols") or b""), server, "symbol with trades")
            return subprocess.run([sys.executable, "-m", "pytest", "-q", str(HERE)], env=env).returncode
        finally:
            server.send_signal(signal.SIGINT)
            if server.wait(timeout=30) != 0:
                sys.exit(f"the server ended with status {server.returncode} after Ctrl-C")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
