// Proves that callers share bounded resources.
import { Writable } from "node:stream";
import { create } from "@bufbuild/protobuf";
import { WatchEventsResponseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { createBacklog, holderOf } from "../../../src/rpc/shares.ts";
import { createOutflow } from "../../../src/transport/streams/backpressure.ts";
import { createChannel } from "../../../src/transport/streams/channel.ts";

test.each([
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.1", "127.0.0.2", false],
  ["::ffff:192.0.2.1", "192.0.2.1", true],
  ["2001:db8::1", "2001:db8::2:3", true],
  ["2001:db8:0:0:1:2:3:4", "2001:db8::9", true],
  ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
  ["fe80::1%eth0", "fe80::2%eth1", true],
  ["::1", "::2", true],
  ["::1", "2001::1", false],
])("the addresses %s and %s count as one holder: %s", (one, other, isSame) => {
  expect(holderOf(one) === holderOf(other)).toBe(isSame);
});

test("the unread bytes of all streams are bounded, and a stream with few continues while one with many waits", () => {
  const TOTAL = 100_000;
  const FRAME = Buffer.alloc(1_000);
  const unread = createBacklog(TOTAL);
  /** A stream whose client reads nothing. */
  const stream = (holder: string) => {
    const out = new Writable({ write() {} });
    const channel = createChannel({ watcherBytes: TOTAL, watcherStallMs: 1_000 }, unread, () => holder);
    channel.send(create(WatchEventsResponseSchema));
    channel.open(createOutflow(out), () => FRAME);
    return { out, send: () => channel.send(create(WatchEventsResponseSchema)) };
  };
  const greedy = Array.from({ length: 50 }, () => stream("greedy"));
  for (let round = 0; round < 200; round++) for (const { send } of greedy) send();
  expect(greedy.filter(({ send }) => send())).toEqual([]);
  const modest = stream("modest");
  for (let sent = 0; sent < 10; sent++) expect(modest.send()).toBe(true);
  const held = TOTAL - unread.limit("nobody");
  expect(held).toBeLessThanOrEqual(TOTAL);
  expect(held).toBeGreaterThan(TOTAL / 4);
});

test("a closed stream releases its unread bytes", async () => {
  const unread = createBacklog(10_000);
  const out = new Writable({ write() {} });
  const channel = createChannel({ watcherBytes: 10_000, watcherStallMs: 1_000 }, unread, () => "one");
  channel.send(create(WatchEventsResponseSchema));
  channel.open(createOutflow(out), () => Buffer.alloc(1_000));
  channel.send(create(WatchEventsResponseSchema));
  expect(unread.limit("one")).toBeLessThan(10_000);
  out.destroy();
  await new Promise((resolve) => out.once("close", resolve));
  expect(unread.limit("one")).toBe(10_000);
});
