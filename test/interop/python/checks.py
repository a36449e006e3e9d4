"""Checks the program of the documentation, and what gRPC's synchronous channels do."""

import sys
import threading
import time
import uuid

import grpc
from client import AUTHORIZATION, OPTIONS, lock, reason_of, watch
from report import CALLERS, CALLS_AT_ONCE, PINGING_SECONDS, PINGS, address, expect, run
from userlock.v3alpha import user_service_pb2 as pb
from userlock.v3alpha.event_service_pb2 import WatchEventsRequest
from userlock.v3alpha.event_service_pb2_grpc import EventServiceStub
from userlock.v3alpha.user_service_pb2_grpc import UserServiceStub


def open_channel(name, options=(), compression=None):
    return grpc.insecure_channel(address(name), [*OPTIONS, *options], compression)


def keyed():
    return [AUTHORIZATION, ("idempotency-key", str(uuid.uuid4()))]


def add(users, text=None):
    user = pb.CreateUser(user_id=str(uuid.uuid4()))
    if text is not None:
        user.data.update({"text": text})
    return users.CreateUser(pb.CreateUserRequest(user=user), metadata=keyed(), timeout=30).details.id


def get(users, user_id):
    return users.GetUser(pb.GetUserRequest(id=user_id), metadata=[AUTHORIZATION], timeout=30).user


def unlock(users, user_id):
    users.UnlockUser(pb.UnlockUserRequest(id=user_id), metadata=keyed(), timeout=30)


def refusal(call):
    """The code and the reason of the error of a call."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, reason_of(error)
    return "OK", None


class Enough(Exception):
    pass


def take(events, cursor, ids):
    """The next events about the users after the cursor, as many as there are users."""
    taken = []

    def handle(event):
        if event.user_id in ids:
            taken.append(event)
        if len(taken) == len(ids):
            raise Enough

    try:
        watch(events, cursor, handle)
    except Enough:
        return taken


def locks_once(users):
    user_id = add(users)
    expect(lock(users, user_id, "fraud").details.id, user_id)
    expect(get(users, user_id).state, pb.USER_STATE_LOCKED)
    expect(refusal(lambda: lock(users, user_id, "fraud")), ("FAILED_PRECONDITION", "USER_ALREADY_LOCKED"))


def is_refused_without_a_token(users):
    request = pb.GetUserRequest(id="someone")
    expect(refusal(lambda: users.GetUser(request, timeout=30)), ("UNAUTHENTICATED", "TOKEN_MISSING"))


def resumes(users):
    with open_channel("ADDRESS") as channel:
        events = EventServiceStub(channel)
        first, second, third = (add(users) for _ in range(3))
        lock(users, first, "fraud")
        [seen] = take(events, "0", [first])
        lock(users, second, "fraud")
        threading.Timer(0.5, lambda: lock(users, third, "fraud")).start()
        taken = take(events, seen.cursor, [second, third])
        expect([event.user_id for event in taken], [second, third])
        expect(taken[0].lock.reason, "fraud")


def watches_apart(_users):
    with open_channel("WATCHED_ADDRESS") as calls, open_channel("WATCHED_ADDRESS") as watching:
        user_id = add(UserServiceStub(calls))
        lock(UserServiceStub(calls), user_id, "fraud")
        [event] = take(EventServiceStub(watching), "0", [user_id])
        expect(event.user_id, user_id)


def meets_deadlines(_users):
    with open_channel("HELD_ADDRESS") as channel:
        request = pb.LockUserRequest(id=address("HELD_USER"))
        users = UserServiceStub(channel)
        call = refusal(lambda: users.LockUser(request, metadata=[AUTHORIZATION], timeout=1))
        expect(call[0], "DEADLINE_EXCEEDED")
    with open_channel("ADDRESS") as channel:
        request = WatchEventsRequest(user_ids=["someone"])
        stream = EventServiceStub(channel).WatchEvents(request, metadata=[AUTHORIZATION], timeout=1)
        expect(next(stream).HasField("event"), False)
        expect(refusal(lambda: next(stream))[0], "DEADLINE_EXCEEDED")


def compresses(_users):
    with open_channel("GZIP_ADDRESS", compression=grpc.Compression.Gzip) as channel:
        users, text = UserServiceStub(channel), "x" * 2_000
        expect(get(users, add(users, text)).data["text"], text)


def is_refused_above_the_limit(users):
    user_id = add(users)
    for size in (70_000, 8_000_000):
        expect(refusal(lambda: lock(users, user_id, "x" * size)), ("RESOURCE_EXHAUSTED", "TOO_LARGE"))
    lock(users, user_id, "fraud")


def uses_tls(_users):
    with open(address("CA_FILE"), "rb") as file:
        trusting = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(address("TLS_ADDRESS"), trusting, OPTIONS) as channel:
        users = UserServiceStub(channel)
        lock(users, add(users), "fraud")
    # Without the service config, because that waits for a good certificate.
    with grpc.secure_channel(address("TLS_ADDRESS"), grpc.ssl_channel_credentials()) as channel:
        expect(refusal(lambda: get(UserServiceStub(channel), "someone"))[0], "UNAVAILABLE")


def calls_at_once(_users):
    with open_channel("ADDRESS") as channel:
        users, ids = UserServiceStub(channel), [str(uuid.uuid4()) for _ in range(CALLS_AT_ONCE)]
        for method, requests in (
            (users.CreateUser, [pb.CreateUserRequest(user=pb.CreateUser(user_id=user_id)) for user_id in ids]),
            (users.LockUser, [pb.LockUserRequest(id=user_id) for user_id in ids]),
        ):
            futures = [method.future(request, metadata=[AUTHORIZATION], timeout=60) for request in requests]
            expect([future.result().details.id for future in futures], ids)


def pings():
    with open_channel("PINGED_ADDRESS", PINGS) as channel:
        users = UserServiceStub(channel)
        user_id = add(users)
        time.sleep(PINGING_SECONDS)
        expect(get(users, user_id).state, pb.USER_STATE_ACTIVE)


def check_all():
    with open_channel("ADDRESS") as channel:
        users = UserServiceStub(channel)
        pinging = threading.Thread(target=run, args=["keeps its connection with pings for 60 seconds", pings])
        pinging.start()
        for name, check in {
            "locks a user, and reads from ErrorInfo why a second lock is refused": locks_once,
            "reads from ErrorInfo that the token is missing": is_refused_without_a_token,
            "gets each lock once from a stream that resumes after a cursor": resumes,
            "watches on a connection of its own": watches_apart,
            "ends a call and a stream at their deadlines": meets_deadlines,
            "sends and reads messages in gzip": compresses,
            "reads from ErrorInfo that a message is too large, and calls again": is_refused_above_the_limit,
            "locks a user over TLS, and trusts no other certificate": uses_tls,
            "makes 1,000 calls at once on one channel": calls_at_once,
        }.items():
            run(name, lambda check=check: check(users))
        pinging.join()


def check_restart():
    """Locks and watches until stdin ends and some more users are locked. The test restarts the server meanwhile."""
    locked, watched, errors = [], [], []
    ending = threading.Event()

    def work(users):
        while not ending.is_set():
            try:
                user_id = add(users)
                lock(users, user_id, "fraud")
                locked.append(user_id)
                unlock(users, user_id)
                expect(get(users, user_id).state, pb.USER_STATE_ACTIVE)
            except Exception as error:
                errors.append(repr(error))

    def follow(events):
        try:
            watch(events, "0", lambda event: watched.append(event.user_id))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.CANCELLED:
                errors.append(repr(error))

    def wait_until(is_done):
        end = time.monotonic() + 30
        while not is_done() and not errors and time.monotonic() < end:
            time.sleep(0.05)

    with open_channel("ADDRESS") as calls, open_channel("ADDRESS") as watching:
        threads = [threading.Thread(target=work, args=[UserServiceStub(calls)]) for _ in range(CALLERS)]
        for thread in [*threads, threading.Thread(target=follow, args=[EventServiceStub(watching)])]:
            thread.start()
        wait_until(lambda: len(locked) > 5 * CALLERS)
        print('{"ready": "restart"}', flush=True)
        sys.stdin.read()
        enough = len(locked) + 5 * CALLERS
        wait_until(lambda: len(locked) > enough)
        run("has no error while the server restarts", lambda: expect((errors, len(locked) > enough), ([], True)))
        ending.set()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(watched) >= len(locked))
        run("gets each lock once while the server restarts", lambda: expect(sorted(watched), sorted(locked)))


if __name__ == "__main__":
    check_restart() if sys.argv[1:] == ["restart"] else check_all()
