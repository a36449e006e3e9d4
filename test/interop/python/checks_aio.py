"""Checks the same as checks.py, with asyncio."""

import asyncio
import sys
import time
import uuid

import grpc
from client import AUTHORIZATION, OPTIONS, reason_of
from client_aio import lock, watch
from google.protobuf.struct_pb2 import Struct
from report import CALLERS, CALLS_AT_ONCE, PINGING_SECONDS, PINGS, address, expect, run_async
from userlock.v3alpha import user_service_pb2 as pb
from userlock.v3alpha.event_service_pb2 import WatchEventsRequest
from userlock.v3alpha.event_service_pb2_grpc import EventServiceStub
from userlock.v3alpha.user_service_pb2_grpc import UserServiceStub


def open_channel(name, options=(), compression=None):
    return grpc.aio.insecure_channel(address(name), [*OPTIONS, *options], compression)


def keyed():
    return [AUTHORIZATION, ("idempotency-key", str(uuid.uuid4()))]


async def add(users, text=None):
    user = pb.CreateUser(user_id=str(uuid.uuid4()))
    if text is not None:
        user.data.update({"text": text})
    return (await users.CreateUser(pb.CreateUserRequest(user=user), metadata=keyed(), timeout=30)).details.id


async def get(users, user_id):
    return (await users.GetUser(pb.GetUserRequest(id=user_id), metadata=[AUTHORIZATION], timeout=30)).user


async def unlock(users, user_id):
    await users.UnlockUser(pb.UnlockUserRequest(id=user_id), metadata=keyed(), timeout=30)


async def refusal(call):
    """The code and the reason of the error of a call."""
    try:
        await call
    except grpc.RpcError as error:
        return error.code().name, reason_of(error)
    return "OK", None


class Enough(Exception):
    pass


async def take(events, cursor, ids):
    """The next events about the users after the cursor, as many as there are users."""
    taken = []

    def handle(event):
        if event.user_id in ids:
            taken.append(event)
        if len(taken) == len(ids):
            raise Enough

    try:
        await watch(events, cursor, handle)
    except Enough:
        return taken


async def locks_once(users):
    user_id = await add(users)
    expect((await lock(users, user_id, "fraud")).details.id, user_id)
    expect((await get(users, user_id)).state, pb.USER_STATE_LOCKED)
    expect(await refusal(lock(users, user_id, "fraud")), ("FAILED_PRECONDITION", "USER_ALREADY_LOCKED"))


async def is_refused_without_a_token(users):
    call = users.GetUser(pb.GetUserRequest(id="someone"), timeout=30)
    expect(await refusal(call), ("UNAUTHENTICATED", "TOKEN_MISSING"))


async def resumes(users):
    async with open_channel("ADDRESS") as channel:
        events = EventServiceStub(channel)
        first, second, third = [await add(users) for _ in range(3)]
        await lock(users, first, "fraud")
        [seen] = await take(events, "0", [first])
        await lock(users, second, "fraud")

        async def lock_later():
            await asyncio.sleep(0.5)
            await lock(users, third, "fraud")

        taken, _ = await asyncio.gather(take(events, seen.cursor, [second, third]), lock_later())
        expect([event.user_id for event in taken], [second, third])
        expect(taken[0].lock.reason, "fraud")


async def watches_apart(_users):
    async with open_channel("WATCHED_ADDRESS") as calls, open_channel("WATCHED_ADDRESS") as watching:
        user_id = await add(UserServiceStub(calls))
        await lock(UserServiceStub(calls), user_id, "fraud")
        [event] = await take(EventServiceStub(watching), "0", [user_id])
        expect(event.user_id, user_id)


async def meets_deadlines(_users):
    async with open_channel("HELD_ADDRESS") as channel:
        request = pb.LockUserRequest(id=address("HELD_USER"))
        call = UserServiceStub(channel).LockUser(request, metadata=[AUTHORIZATION], timeout=1)
        expect((await refusal(call))[0], "DEADLINE_EXCEEDED")
    async with open_channel("ADDRESS") as channel:
        request = WatchEventsRequest(user_ids=["someone"])
        stream = EventServiceStub(channel).WatchEvents(request, metadata=[AUTHORIZATION], timeout=1)
        expect((await stream.read()).HasField("event"), False)
        expect((await refusal(stream.read()))[0], "DEADLINE_EXCEEDED")


async def compresses(_users):
    async with open_channel("GZIP_ADDRESS", compression=grpc.Compression.Gzip) as channel:
        users, text = UserServiceStub(channel), "x" * 2_000
        expect((await get(users, await add(users, text))).data["text"], text)


async def is_refused_above_the_limit(users):
    user_id = await add(users)
    for size in (70_000, 8_000_000):
        expect(await refusal(lock(users, user_id, "x" * size)), ("RESOURCE_EXHAUSTED", "TOO_LARGE"))
    await lock(users, user_id, "fraud")


async def uses_tls(_users):
    with open(address("CA_FILE"), "rb") as file:
        trusting = grpc.ssl_channel_credentials(file.read())
    async with grpc.aio.secure_channel(address("TLS_ADDRESS"), trusting, OPTIONS) as channel:
        users = UserServiceStub(channel)
        await lock(users, await add(users), "fraud")
    # Without the service config, because that waits for a good certificate.
    async with grpc.aio.secure_channel(address("TLS_ADDRESS"), grpc.ssl_channel_credentials()) as channel:
        expect((await refusal(get(UserServiceStub(channel), "someone")))[0], "UNAVAILABLE")


async def calls_at_once(_users):
    async with open_channel("ADDRESS") as channel:
        users, ids = UserServiceStub(channel), [str(uuid.uuid4()) for _ in range(CALLS_AT_ONCE)]
        for method, requests in (
            (users.CreateUser, [pb.CreateUserRequest(user=pb.CreateUser(user_id=user_id)) for user_id in ids]),
            (users.LockUser, [pb.LockUserRequest(id=user_id) for user_id in ids]),
        ):
            calls = [method(request, metadata=[AUTHORIZATION], timeout=60) for request in requests]
            expect([answer.details.id for answer in await asyncio.gather(*calls)], ids)


async def pings():
    async with open_channel("PINGED_ADDRESS", PINGS) as channel:
        users = UserServiceStub(channel)
        user_id = await add(users)
        await asyncio.sleep(PINGING_SECONDS)
        expect((await get(users, user_id)).state, pb.USER_STATE_ACTIVE)


async def check_all():
    async with open_channel("ADDRESS") as channel:
        users = UserServiceStub(channel)
        pinging = asyncio.create_task(run_async("keeps its connection with pings for 60 seconds", pings()))
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
            await run_async(name, check(users))
        await pinging


async def check_restart():
    """Locks and watches until stdin ends and some more users are locked. The test restarts the server meanwhile."""
    locked, watched, errors = [], [], []
    ending = asyncio.Event()

    async def work(users):
        while not ending.is_set():
            try:
                user_id = await add(users)
                await lock(users, user_id, "fraud")
                locked.append(user_id)
                await unlock(users, user_id)
                expect((await get(users, user_id)).state, pb.USER_STATE_ACTIVE)
            except Exception as error:
                errors.append(repr(error))

    async def follow(events):
        try:
            await watch(events, "0", lambda event: watched.append(event.user_id))
        except grpc.RpcError as error:
            errors.append(repr(error))

    async def wait_until(is_done):
        end = time.monotonic() + 30
        while not is_done() and not errors and time.monotonic() < end:
            await asyncio.sleep(0.05)

    async def is_without_error():
        expect((errors, len(locked) > enough), ([], True))

    async def is_watched():
        expect(sorted(watched), sorted(locked))

    async with open_channel("ADDRESS") as calls, open_channel("ADDRESS") as watching:
        working = [asyncio.create_task(work(UserServiceStub(calls))) for _ in range(CALLERS)]
        following = asyncio.create_task(follow(EventServiceStub(watching)))
        await wait_until(lambda: len(locked) > 5 * CALLERS)
        print('{"ready": "restart"}', flush=True)
        await asyncio.to_thread(sys.stdin.read)
        enough = len(locked) + 5 * CALLERS
        await wait_until(lambda: len(locked) > enough)
        await run_async("has no error while the server restarts", is_without_error())
        ending.set()
        await asyncio.gather(*working)
        await wait_until(lambda: len(watched) >= len(locked))
        await run_async("gets each lock once while the server restarts", is_watched())
        following.cancel()


if __name__ == "__main__":
    asyncio.run(check_restart() if sys.argv[1:] == ["restart"] else check_all())
