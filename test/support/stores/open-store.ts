import { createInterface } from "node:readline";
import { openStore } from "../../../src/store/open.ts";
import type { Query } from "../../../src/store/port.ts";
import { change } from "./appends.ts";

/** What a process with a store of its own is told to do, as a line of JSON on stdin. */
export type Order = ({ file: string } | { url: string }) & {
  /** The streams to create, each with a state of so many bytes. */
  streams: { id: string; bytes?: number }[];
  /** Whether all are created at once, or one after another. */
  atOnce?: boolean;
  /** How many appends one commit takes at most. */
  commitRows?: number;
  /** What is searched for thereafter. */
  searches?: Query[];
};

/** What came of it, as a line of JSON on stdout. */
export interface Outcome {
  /** Name of the error with which opening failed, and its message. */
  refused?: [name: string, message: string];
  /** What became of each stream: an outcome, or the name of an error. */
  streams?: string[];
}

// Not before the program is loaded, which may lie where nobody else can read.
if (process.argv.includes("--as-nobody") && process.getuid?.() === 0) process.seteuid?.(65_534);

async function carryOut({ streams, atOnce = false, commitRows, searches = [], ...place }: Order): Promise<Outcome> {
  try {
    const settings =
      "url" in place ? ({ kind: "postgres", ...place } as const) : ({ kind: "sqlite", ...place } as const);
    const store = await openStore(settings, "default", commitRows === undefined ? {} : { commitRows });
    const outcomes: Promise<string>[] = [];
    for (const { id, bytes = 1 } of streams) {
      const append = store.append(change(id, { state: { filling: "x".repeat(bytes) } })).then(
        ({ outcome }) => outcome,
        (error: Error) => error.name,
      );
      outcomes.push(append);
      if (!atOnce) await append;
    }
    for (const query of searches) await store.search(query);
    await store.close();
    return { streams: await Promise.all(outcomes) };
  } catch (error) {
    return { refused: [(error as Error).name, (error as Error).message] };
  }
}

process.stdout.write("ready\n");
for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await carryOut(JSON.parse(line)))}\n`);
}
