import { PassThrough } from "node:stream";
import { DomainError } from "../../../src/domain/errors.ts";
import { readUpTo } from "../../../src/transport/http/body.ts";

test("a body whose beginning finds no room is refused, is read no further and takes no room", async () => {
  const source = new PassThrough();
  let held = 0;
  const room = (bytes: number) => {
    if (bytes === 5) throw new DomainError("TOO_MANY_REQUESTS", "full");
    held++;
    return () => held--;
  };
  const reading = readUpTo({ begun: Buffer.alloc(5), rest: () => source }, { limit: 10, timeoutMs: 1_000, room });
  await expect(reading).rejects.toMatchObject({ reason: "TOO_MANY_REQUESTS" });
  source.write("more");
  await new Promise(setImmediate);
  expect([source.listenerCount("data"), held]).toEqual([0, 0]);
});
