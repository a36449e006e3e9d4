import { getEventListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { jest } from "@jest/globals";
import { EventService, WatchEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { Principal } from "../../../src/domain/access.ts";
import type { Outlet } from "../../../src/rpc/handler.ts";
import { type Call, createPipeline, type PipelineParts } from "../../../src/rpc/pipeline.ts";

const OWNER = { subject: "owner", grants: [{ role: "INSTANCE_OWNER" }] } as Principal;

test.each<[string, () => Promise<void>]>([
  ["resolves", async () => {}],
  ["rejects", () => Promise.reject(new Error("broken"))],
  [
    "throws before there is a promise",
    () => {
      throw new Error("broken");
    },
  ],
])("a handler that %s leaves neither a timer nor a listener behind", async (_what, handler) => {
  const caller = new AbortController();
  const stop = new AbortController();
  const parts: Partial<PipelineParts> = {
    authenticate: async () => OWNER,
    validator: { validate: () => ({ kind: "valid" }) } as never,
    instance: { id: "default", domains: [] },
    onError() {},
    stopping: stop.signal,
  };
  const pipeline = createPipeline(parts as PipelineParts);
  const service = { ...EventService, methods: [EventService.method.watchEvents] } as typeof EventService;
  pipeline.serve(service, { watchEvents: handler } as never);
  const call = { requestId: "r1", timeoutMs: 3_600_000, signal: caller.signal } as Call;
  const clear = jest.spyOn(globalThis, "clearTimeout");
  try {
    const admitted = await pipeline.admitStream(EventService.method.watchEvents, call);
    await admitted(create(WatchEventsRequestSchema), {} as Outlet).catch(() => {});
    expect(clear).toHaveBeenCalledTimes(1);
  } finally {
    clear.mockRestore();
  }
  for (const { signal } of [caller, stop]) expect(getEventListeners(signal, "abort")).toEqual([]);
});
