// Proves that the REST door serves one stream only, WatchEvents.
import type { DescMethod } from "@bufbuild/protobuf";
import {
  EventService,
  ListEventsRequestSchema,
  ListEventsResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Pipeline } from "../../../src/rpc/pipeline.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { createRestDoor } from "../../../src/transport/rest/door.ts";

const { watchEvents, listEvents } = EventService.method;
const doorOf = (...methods: DescMethod[]) =>
  createRestDoor({ methods } as unknown as Pipeline, LIMITS, createShares(LIMITS));

test.each<[string, DescMethod]>([
  ["answers", { ...watchEvents, output: ListEventsResponseSchema }],
  ["requests", { ...watchEvents, input: ListEventsRequestSchema }],
])("a stream with other %s, which have no cursors, cannot have a REST route", (_what, method) => {
  expect(() => doorOf(method)).toThrow("userlock.v3alpha.EventService.WatchEvents: the stream has no cursors");
});

test("WatchEvents and unary methods have REST routes", () => {
  doorOf(watchEvents, listEvents, UserService.method.lockUser);
});
