// Proves that health watchers share few checks of the store.
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { HealthCheckRequestSchema, HealthCheckResponse_ServingStatus } from "../../../gen/grpc/health/v1/health_pb.ts";
import { createReadiness } from "../../../src/app/startup/readiness.ts";
import { createHealth } from "../../../src/rpc/services/health.ts";
import { until } from "../../support/stores/appends.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

/** A server whose readiness the test sets. */
function serverOf(isReady?: () => Promise<boolean>) {
  const server = { isReady: true };
  const stop = new AbortController();
  const health = createHealth({
    isReady: isReady ?? (async () => server.isReady),
    services: ["known"],
    stopping: stop.signal,
  });
  function watch(service = "") {
    const gone = new AbortController();
    const seen: unknown[] = [];
    const ended = (async () => {
      for await (const { status } of health.watch(create(HealthCheckRequestSchema, { service }), gone.signal)) {
        seen.push(status);
      }
    })();
    ended.catch(() => {});
    return { seen, ended, leave: () => gone.abort() };
  }
  return Object.assign(server, { watch, stop });
}

test("1,000 health watchers share one check of the store", async () => {
  let looks = 0;
  const check = async () => {
    looks++;
  };
  const server = serverOf(createReadiness({ check }, () => {}));
  const watchers = Array.from({ length: 1_000 }, (_, n) => server.watch(n % 2 ? "known" : ""));
  await until(() => watchers.every(({ seen }) => seen.length === 1));
  const first = looks;
  await sleep(1_200);
  expect(looks - first).toBeLessThanOrEqual(4);
  for (const { leave } of watchers) leave();
  await Promise.all(watchers.map(({ ended }) => ended));
  const last = looks;
  await sleep(700);
  expect(looks).toBe(last);
});

test("each health watcher gets every change once", async () => {
  const server = serverOf();
  const [early, unknown] = [server.watch(), server.watch("unknown")];
  await until(() => early.seen.length === 1);
  server.isReady = false;
  const late = server.watch("known");
  await until(() => early.seen.length === 2);
  server.isReady = true;
  await until(() => early.seen.length === 3 && late.seen.length === 2);
  expect(early.seen).toEqual([SERVING, NOT_SERVING, SERVING]);
  expect(late.seen).toEqual([NOT_SERVING, SERVING]);
  expect(unknown.seen).toEqual([SERVICE_UNKNOWN]);
  for (const { leave } of [early, late, unknown]) leave();
  await Promise.all([early.ended, late.ended, unknown.ended]);
});

test("all health watchers get NOT_SERVING at once and the shutdown error when the server stops", async () => {
  const server = serverOf();
  const watchers = Array.from({ length: 10 }, () => server.watch());
  await until(() => watchers.every(({ seen }) => seen.length === 1));
  const reason = new Error("stopping");
  server.stop.abort(reason);
  for (const { ended, seen } of watchers) {
    await expect(ended).rejects.toBe(reason);
    expect(seen).toEqual([SERVING, NOT_SERVING]);
  }
});
