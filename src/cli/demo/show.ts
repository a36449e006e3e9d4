import { styleText } from "node:util";

/** Prints requests and answers. */
export function createShow(url: string, token: string, print: (line: string) => void) {
  const show = {
    heading: (text: string) => print(`\n${styleText("bold", text)}`),
    step: (text: string) => print(`  ${text}`),
    sent: (text: string) => print(styleText("cyan", `  > ${text}`)),
    received: (text: string) => print(`  < ${text}`),
  };
  return {
    ...show,
    /** Sends JSON, and prints the curl command and the answer. Secrets are cut short. */
    async call(verb: string, path: string, body?: object): Promise<{ ok: boolean; json: Record<string, unknown> }> {
      const json = JSON.stringify(body);
      const how = verb === (json === undefined ? "GET" : "POST") ? "" : ` -X ${verb}`;
      const data = json === undefined ? "" : ` --json '${shorten(json)}'`;
      show.sent(`curl -H "Authorization: Bearer $TOKEN"${how}${data} $URL${path}`);
      const response = await fetch(url + path, {
        method: verb,
        headers: {
          authorization: `Bearer ${token}`,
          ...(json !== undefined && { "content-type": "application/json" }),
        },
        ...(json !== undefined && { body: json }),
      });
      const text = (await response.text()).trim();
      show.received(`HTTP ${response.status} ${shorten(text)}`);
      return { ok: response.ok, json: JSON.parse(text) };
    },
  };
}

/** Cuts tokens short: they are long and say nothing to a reader. */
function shorten(json: string): string {
  return json.replaceAll(/("(?:session|device)Token":"[\w-]{20})[^"]*/g, "$1…");
}
