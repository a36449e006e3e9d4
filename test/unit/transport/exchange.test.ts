// Proves that a request that is answered early leaves its connection to the next one.
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Http1Exchange } from "../../../src/transport/http/exchange.ts";

/** More than Node buffers of a request that is not read. */
const BODY = Buffer.alloc(300_000);

test.each(["unread", "flowing", "paused"])(
  "after an early answer to a request that is %s, the next one is served",
  async (how) => {
    const server = createServer((request, response) => {
      const exchange = new Http1Exchange(request, response, { expectsContinue: false, isLast: () => false });
      if (how === "flowing") exchange.content().resume();
      if (how === "paused")
        exchange
          .content()
          .on("data", () => {})
          .pause();
      // Later than the flow has begun.
      setImmediate(() => exchange.answer({ status: 200, headers: { "content-length": "0" } }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    let received = "";
    socket.setEncoding("latin1").on("data", (text) => {
      received += text;
    });
    const answers = () => received.split("HTTP/1.1 200 OK").length - 1;
    const answered = async (count: number) => {
      for (const end = performance.now() + 5_000; answers() < count && performance.now() < end; ) await sleep(5);
      expect(answers()).toBe(count);
    };
    try {
      socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY.length}\r\n\r\n`);
      await answered(1);
      socket.write(BODY);
      socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await answered(2);
    } finally {
      socket.destroy();
      server.close();
    }
  },
);
