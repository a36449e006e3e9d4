import { styleText } from "node:util";

/** What came back over HTTP. */
export interface Shown {
  ok: boolean;
  json: Record<string, unknown>;
}

/** Shows requests and answers to somebody who learns the API from them. */
export interface Show {
  heading(text: string): void;
  step(text: string): void;
  sent(text: string): void;
  received(text: string): void;
  /** Sends JSON, and shows the call as curl takes it, with its answer. What is secret in it is cut short. */
  call(verb: string, path: string, body: object | undefined): Promise<Shown>;
}

export function createShow(url: string, token: string, print: (line: string) => void): Show {
  const show: Omit<Show, "call"> = {
    heading: (text) => print(`\n${styleText("bold", text)}`),
    step: (text) => print(`  ${text}`),
    sent: (text) => print(styleText("cyan", `  > ${text}`)),
    received: (text) => print(`  < ${text}`),
  };
  return {
    ...show,
    async call(verb, path, body) {
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

/** Tokens are long, and of no interest to a reader. */
function shorten(json: string): string {
  return json.replaceAll(/("(?:session|device)Token":"[\w-]{20})[^"]*/g, "$1…");
}
