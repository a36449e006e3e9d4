import type { ServerHttp2Session } from "node:http2";

/** How long all streams of a connection are open before that is reported, and the time between two reports. */
const FULL_MS = 1_000;
const REPORT_MS = 60_000;

/**
 * Reports connections whose streams were all open for a second, at most one a minute. A client that heeds the limit
 * sends no further call then: it waits, and no error shows why.
 */
export function watchForFull(
  streams: number,
  onFull: (address: string) => void,
): (session: ServerHttp2Session) => void {
  let reportedAt = -REPORT_MS;
  return (session) => {
    const address = session.socket.remoteAddress ?? "";
    let open = 0;
    let timer: NodeJS.Timeout | undefined;
    session.on("stream", (stream) => {
      open++;
      if (open === streams) timer = setTimeout(report, FULL_MS).unref();
      stream.on("close", () => {
        open--;
        clearTimeout(timer);
      });
    });
    const report = () => {
      const now = performance.now();
      if (now - reportedAt < REPORT_MS) return;
      reportedAt = now;
      onFull(address);
    };
  };
}
