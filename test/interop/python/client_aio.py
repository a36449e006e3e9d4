import asyncio
import uuid

import grpc
from client import AUTHORIZATION, OPTIONS, reason_of
from userlock.v3alpha.event_service_pb2 import WatchEventsRequest
from userlock.v3alpha.event_service_pb2_grpc import EventServiceStub
from userlock.v3alpha.user_service_pb2 import LockUserRequest
from userlock.v3alpha.user_service_pb2_grpc import UserServiceStub


async def lock(users, user_id, reason):
    """Locks a user. The key makes it one lock, even if gRPC makes the call again."""
    metadata = [AUTHORIZATION, ("idempotency-key", str(uuid.uuid4()))]
    return await users.LockUser(LockUserRequest(id=user_id, reason=reason), metadata=metadata, timeout=10)


async def watch(events, cursor, handle):
    """Handles each lock after the cursor, until the server refuses. It goes on after a restart."""
    while True:
        request = WatchEventsRequest(after=cursor, types=["user.locked"])
        try:
            async for message in events.WatchEvents(request, metadata=[AUTHORIZATION]):
                if message.HasField("event"):
                    handle(message.event)
                cursor = message.cursor
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
        await asyncio.sleep(1)


async def main():
    async with (
        grpc.aio.insecure_channel("127.0.0.1:8080", OPTIONS) as calls,
        grpc.aio.insecure_channel("127.0.0.1:8080", OPTIONS) as watching,
    ):
        try:
            print("locked at", (await lock(UserServiceStub(calls), "alice", "fraud")).details.changed.ToDatetime())
        except grpc.RpcError as error:
            print("refused:", reason_of(error), error.details())
        await watch(EventServiceStub(watching), "0", lambda event: print(event.user_id, "was locked"))


if __name__ == "__main__":
    asyncio.run(main())
