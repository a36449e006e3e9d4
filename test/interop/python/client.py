import os
import time
import uuid

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from userlock.v3alpha.event_service_pb2 import WatchEventsRequest
from userlock.v3alpha.event_service_pb2_grpc import EventServiceStub
from userlock.v3alpha.user_service_pb2 import LockUserRequest
from userlock.v3alpha.user_service_pb2_grpc import UserServiceStub

AUTHORIZATION = ("authorization", "Bearer " + os.environ["TOKEN"])
with open("service-config.json") as file:
    # Without the second option, all channels of a process share one connection.
    OPTIONS = [("grpc.service_config", file.read()), ("grpc.use_local_subchannel_pool", 1)]


def lock(users, user_id, reason):
    """Locks a user. The key makes it one lock, even if gRPC makes the call again."""
    metadata = [AUTHORIZATION, ("idempotency-key", str(uuid.uuid4()))]
    return users.LockUser(LockUserRequest(id=user_id, reason=reason), metadata=metadata, timeout=10)


def reason_of(error):
    """The reason of an error, such as USER_ALREADY_LOCKED."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = ErrorInfo()
        if detail.Unpack(info):
            return info.reason


def watch(events, cursor, handle):
    """Handles each lock after the cursor, until the server refuses. It goes on after a restart."""
    while True:
        request = WatchEventsRequest(after=cursor, types=["user.locked"])
        try:
            for message in events.WatchEvents(request, metadata=[AUTHORIZATION]):
                if message.HasField("event"):
                    handle(message.event)
                cursor = message.cursor
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
        time.sleep(1)


def main():
    # With TLS: grpc.secure_channel("HOST:443", grpc.ssl_channel_credentials(), OPTIONS)
    calls = grpc.insecure_channel("127.0.0.1:8080", OPTIONS)
    try:
        print("locked at", lock(UserServiceStub(calls), "alice", "fraud").details.changed.ToDatetime())
    except grpc.RpcError as error:
        print("refused:", reason_of(error), error.details())
    # A channel of its own.
    watching = grpc.insecure_channel("127.0.0.1:8080", OPTIONS)
    watch(EventServiceStub(watching), "0", lambda event: print(event.user_id, "was locked"))


if __name__ == "__main__":
    main()
