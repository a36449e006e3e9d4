// Proves that a collector that is away or hangs costs neither calls nor memory, and that the log says so once.

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { EXPORT_FAILED } from "../../../src/observe/traces/span-queue.ts";
import { startTraces } from "../../../src/observe/traces/traces.ts";
import type { ObservedCall } from "../../../src/rpc/observer.ts";

const CALLS = 20_000;

/** Makes many spans for a collector at this address. Resolves with the log's messages once the traces are closed. */
async function flood(endpoint: string): Promise<string[]> {
  const lines: string[] = [];
  const log = { warn: (_fields: object, msg: string) => lines.push(msg) };
  const about = { version: "1.2.3", store: "memory" };
  const traces = startTraces({ endpoint, serviceName: "userlock", ratio: 1 }, about, { ...log } as never);
  const [observer] = traces.calls;
  for (let index = 0; index < CALLS; index++) {
    const call: ObservedCall = {
      system: "grpc",
      requestId: `r${index}`,
      address: undefined,
      verb: "POST",
      scheme: "http",
      traceparent: undefined,
      tracestate: undefined,
      started: performance.now(),
      method: UserService.method.lockUser,
    };
    observer?.began(call);
    observer?.ended(call);
    if (index % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const started = performance.now();
  await traces.close();
  expect(performance.now() - started).toBeLessThan(8_000);
  return lines;
}

test("without a collector spans are dropped, a stop ends soon, and the log has one line", async () => {
  expect(await flood("http://127.0.0.1:9")).toEqual([EXPORT_FAILED]);
}, 20_000);

test("a collector that never answers gets a few batches, and holds nothing up", async () => {
  let bytes = 0;
  const silent = createServer((socket) => socket.on("data", (chunk) => (bytes += chunk.length)).on("error", () => {}));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const lines = await flood(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  silent.close();
  expect(lines).toEqual([EXPORT_FAILED]);
  expect(bytes).toBeGreaterThan(0);
  // About 500 bytes a span: the queue, and what was on the way.
  expect(bytes).toBeLessThan((2_048 + 2 * 512) * 1_000);
}, 20_000);
