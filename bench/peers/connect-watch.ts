// A stream of locks by connect-node's async generators, and a LockUser that sends to all watchers.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  EventService,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCause, OwnerType, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { announce } from "./announce.ts";

const OWNER = { type: OwnerType.INSTANCE, id: "default" };
const watchers = new Set<(message: WatchEventsResponse) => void>();
let locks = 0;

function routes(router: ConnectRouter): void {
  router.service(EventService, {
    async *watchEvents(_request, { signal }) {
      const waiting: WatchEventsResponse[] = [];
      let wake = () => {};
      const hear = (message: WatchEventsResponse) => {
        waiting.push(message);
        wake();
      };
      watchers.add(hear);
      signal.addEventListener("abort", () => {
        watchers.delete(hear);
        wake();
      });
      yield create(WatchEventsResponseSchema, { cursor: String(locks) });
      while (!signal.aborted) {
        for (const message of waiting.splice(0)) yield message;
        if (waiting.length === 0 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  });
  router.service(UserService, {
    lockUser({ id, reason }) {
      const milliseconds = Date.now();
      const time = { seconds: BigInt(Math.floor(milliseconds / 1_000)), nanos: (milliseconds % 1_000) * 1_000_000 };
      const cursor = String(++locks);
      const message = create(WatchEventsResponseSchema, {
        cursor,
        event: {
          cursor,
          type: "user.locked",
          objectType: "user",
          objectId: id,
          userId: id,
          owner: OWNER,
          time,
          actor: { subject: "admin", tokenId: "admin" },
          requestId: "0123456789abcdef01234567",
          address: "127.0.0.1",
          userAgent: "connect-es/2.2.0",
          change: { case: "lock", value: { cause: LockCause.MANUAL, reason, lockedBy: "admin", since: time } },
        },
      });
      for (const hear of watchers) hear(message);
      return { details: { id, created: time, changed: time, owner: OWNER } };
    },
  });
}

const server = createServer({ settings: { maxConcurrentStreams: 256 } }, connectNodeAdapter({ routes }));
server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));
