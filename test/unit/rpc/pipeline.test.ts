// Proves that errors of calls are reported once, with their method and request id.
import { getEventListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { jest } from "@jest/globals";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { EventService, WatchEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { Principal } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import type { Outlet } from "../../../src/rpc/handler.ts";
import { type Call, createPipeline, type PipelineParts } from "../../../src/rpc/pipeline.ts";

const OWNER = { subject: "owner", grants: [{ role: "INSTANCE_OWNER" }] } as Principal;

/** A pipeline that serves WatchEvents with this handler. */
function pipelineOf(handler: () => Promise<void>, more: Partial<PipelineParts> = {}) {
  const parts: Partial<PipelineParts> = {
    authenticate: async () => ({ principal: OWNER }),
    validator: { validate: () => ({ kind: "valid" }) } as never,
    instance: { id: "default", domains: [] },
    onError() {},
    stopping: new AbortController().signal,
    ...more,
  };
  const pipeline = createPipeline(parts as PipelineParts);
  const service = { ...EventService, methods: [EventService.method.watchEvents] } as typeof EventService;
  pipeline.serve(service, { watchEvents: handler } as never);
  return pipeline;
}

const callOf = (signal = new AbortController().signal) => ({ requestId: "r1", timeoutMs: 3_600_000, signal }) as Call;

test.each<[string, () => Promise<void>]>([
  ["resolves", async () => {}],
  ["rejects", () => Promise.reject(new Error("broken"))],
  [
    "throws before it returns a promise",
    () => {
      throw new Error("broken");
    },
  ],
])("a handler that %s leaves neither a timer nor a listener behind", async (_what, handler) => {
  const caller = new AbortController();
  const stop = new AbortController();
  const pipeline = pipelineOf(handler, { stopping: stop.signal });
  const clear = jest.spyOn(globalThis, "clearTimeout");
  try {
    const admitted = await pipeline.admitStream(EventService.method.watchEvents, callOf(caller.signal));
    await admitted(create(WatchEventsRequestSchema), {} as Outlet).catch(() => {});
    // One of the admission, and one of the handler.
    expect(clear).toHaveBeenCalledTimes(2);
  } finally {
    clear.mockRestore();
  }
  for (const { signal } of [caller, stop]) expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("the caller's deadline also ends a look-up of their token that takes too long", async () => {
  const pipeline = pipelineOf(async () => {}, { authenticate: () => new Promise(() => {}) });
  const call = { ...callOf(), timeoutMs: 10 };
  await expect(pipeline.admitStream(EventService.method.watchEvents, call)).rejects.toMatchObject({
    reason: "DEADLINE_EXCEEDED",
  });
});

describe("an error is reported once", () => {
  const onError = jest.fn<PipelineParts["onError"]>();
  beforeEach(() => onError.mockClear());

  test("with its method if the pipeline caught it, even if the door explains it again", async () => {
    const pipeline = pipelineOf(() => Promise.reject(new DomainError("USER_NOT_FOUND", "nobody")), { onError });
    const admitted = await pipeline.admitStream(EventService.method.watchEvents, callOf());
    const error = await admitted(create(WatchEventsRequestSchema), {} as Outlet).catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: "USER_NOT_FOUND" });
    expect(pipeline.explain(error, callOf())).toBe(error);
    expect(onError.mock.calls).toEqual([[error, "userlock.v3alpha.EventService.WatchEvents", "r1"]]);
  });

  test("without a method if a door caught it, such as for a body that is too large", () => {
    const error = pipelineOf(async () => {}, { onError }).explain(new DomainError("TOO_LARGE", "too large"), callOf());
    expect(error).toMatchObject({ reason: "TOO_LARGE" });
    expect(onError.mock.calls).toEqual([[error, "", "r1"]]);
  });
});

test("a service with a method that names no permission is not served", () => {
  const handlers = Object.fromEntries(Health.methods.map(({ localName }) => [localName, async () => {}]));
  const pipeline = createPipeline({ onError() {} } as Partial<PipelineParts> as PipelineParts);
  expect(() =>
    pipeline.serve(Health, handlers as unknown as Parameters<typeof pipeline.serve<typeof Health>>[1]),
  ).toThrow();
  expect(pipeline.methods).toEqual([]);
});
