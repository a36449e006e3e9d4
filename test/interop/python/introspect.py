"""Checks that authlib introspects: a session is active, and after a lock it is not."""

import grpc
from client import lock
from introspection import is_active
from report import address, expect, run
from userlock.v3alpha.user_service_pb2_grpc import UserServiceStub

WAYS = [
    (method, name, client_id)
    for method in ("client_secret_basic", "client_secret_post")
    for name, client_id in (("subject", address("CLIENT_SUBJECT")), ("id", address("CLIENT_ID")))
]


def introspect(method, client_id):
    return is_active(address("URL"), client_id, address("CLIENT_SECRET"), address("SESSION_TOKEN"), method)


def try_all():
    return [introspect(method, client_id) for method, _, client_id in WAYS]


before = try_all()
with grpc.insecure_channel(address("ADDRESS")) as channel:
    lock(UserServiceStub(channel), address("USER"), "fraud")
after = try_all()
for (method, name, _), *seen in zip(WAYS, before, after):
    check = f"introspects a session by {method} with the token's {name} as client id"
    run(check, lambda seen=seen: expect(seen, [True, False]))
