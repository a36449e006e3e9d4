// A LockUser that does nothing, on @connectrpc/connect-node. It serves gRPC over HTTP/2, or with the argument `http1`
// gRPC-Web and Connect over HTTP/1.1.
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { OwnerType, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { announce } from "./announce.ts";

const OWNER = { type: OwnerType.INSTANCE, id: "default" };

function routes(router: ConnectRouter): void {
  router.service(UserService, {
    lockUser({ id }) {
      const milliseconds = Date.now();
      const now = { seconds: BigInt(Math.floor(milliseconds / 1_000)), nanos: (milliseconds % 1_000) * 1_000_000 };
      return { details: { id, created: now, changed: now, owner: OWNER } };
    },
  });
}

const handler = connectNodeAdapter({ routes });
const server = process.argv[2] === "http1" ? createServer(handler) : createHttp2Server(handler);
server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));
