"""What the programs of checks share: settings, and a line of JSON for each check."""

import json
import os
import traceback

CALLERS = 8
CALLS_AT_ONCE = 1_000
PINGING_SECONDS = 60
PINGS = [
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def run(name, check):
    try:
        check()
    except Exception:
        report(name, traceback.format_exc())
    else:
        report(name)


async def run_async(name, check):
    try:
        await check
    except Exception:
        report(name, traceback.format_exc())
    else:
        report(name)


def report(name, error=None):
    print(json.dumps({"check": name, **({} if error is None else {"error": error})}), flush=True)


def expect(value, expected):
    if value != expected:
        raise AssertionError(f"{value!r} is not {expected!r}")


def address(name):
    """An address that the test passes as an environment variable."""
    return os.environ[name]
