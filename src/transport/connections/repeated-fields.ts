import type { IncomingHttpHeaders } from "node:http2";

const NAME = "authorization";

/**
 * Joins the values of a repeated Authorization field by a comma, as Node does for HTTP/1.1 on request. Node's HTTP/2
 * drops all but the first one. A proxy may have read the other one. `raw` has names and values by turns.
 */
export function joinAuthorization(headers: IncomingHttpHeaders, raw: readonly string[]): IncomingHttpHeaders {
  const first = raw.indexOf(NAME);
  if (first < 0 || raw.indexOf(NAME, first + 1) < 0) return headers;
  const values = raw.filter((_, at) => at % 2 === 1 && raw[at - 1] === NAME);
  // A value can be the name, too.
  if (values.length > 1) headers[NAME] = values.join(", ");
  return headers;
}
