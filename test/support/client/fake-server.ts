import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import {
  DenialCause,
  EventService,
  type WatchLocksResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";

type Message = MessageInitShape<typeof WatchLocksResponseSchema>;

/** A server for guards, whose answers and streams the test decides. Its sessions have the tokens "userlock_session_USER". */
export async function startFakeServer() {
  /** The messages of WatchLocks. Each stream gets all of them. */
  const messages: Message[] = [];
  let wake = () => {};
  let woken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const fake = {
    url: "",
    /** What a call waits for before its answer. The answer is decided before. */
    hold: async () => {},
    /** The number of calls, and of open streams of events. */
    authorized: 0,
    introspected: 0,
    watching: 0,
    /** The users whom Authorize and IntrospectToken refuse. */
    locked: new Set<string>(),
    /** Sends a message to each guard. */
    send(message: Message) {
      messages.push(message);
      wake();
      woken = new Promise((resolve) => {
        wake = resolve;
      });
    },
    /** Sends all denied users, and makes the set of each guard current. */
    sendSnapshot(...users: string[]) {
      const denied = users.map((userId) => ({ userId, cause: DenialCause.LOCKED }));
      fake.send({ content: { case: "snapshot", value: { users: denied, done: true } } });
      fake.send({ cursor: "1" });
    },
    /** Cuts all connections. */
    cut: () => server.closeAllConnections(),
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
  const server = createServer(
    connectNodeAdapter({
      routes({ service }) {
        service(AuthzService, {
          async authorize(_, { requestHeader }) {
            fake.authorized++;
            const [, payload = ""] = (requestHeader.get("authorization") ?? "").split(".");
            const { sub } = JSON.parse(Buffer.from(payload, "base64url").toString() || "{}") as { sub?: string };
            const isLocked = fake.locked.has(sub ?? "");
            await fake.hold();
            if (isLocked) throw new ConnectError("locked", Code.Unauthenticated);
            return {};
          },
        });
        service(SessionService, {
          async introspectToken({ token }) {
            fake.introspected++;
            const sub = token.replace("userlock_session_", "");
            const active = !fake.locked.has(sub);
            await fake.hold();
            return active ? { active, sub, exp: 4_000_000_000n } : { active };
          },
        });
        service(EventService, {
          // A stream that is cut does not end here, because Connect would write to it.
          async *watchLocks(_, { signal }) {
            for (let at = 0; ; ) {
              const message = messages[at];
              if (signal.aborted) await new Promise(() => {});
              else if (message) {
                at++;
                yield message;
              } else await woken;
            }
          },
          async *watchEvents(_, { signal }) {
            fake.watching++;
            signal.addEventListener("abort", () => fake.watching--);
            yield { cursor: "1" };
            await new Promise(() => {});
          },
        });
      },
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return fake;
}

/** A started fake server. */
export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>;
