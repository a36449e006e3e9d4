import { createInterface } from "node:readline";
import { openStore } from "../../../src/store/open.ts";
import type { Query } from "../../../src/store/query.ts";
import { change } from "./appends.ts";

/** An order for a process with its own store, as a line of JSON on stdin. */
export type Order = ({ file: string } | { url: string }) & {
  /** The streams to create, each with a state of `bytes` bytes. */
  streams: { id: string; bytes?: number }[];
  /** Whether all are created at once or one after another. */
  atOnce?: boolean;
  /** The maximum number of appends in one commit. */
  commitRows?: number;
  /** Searches to run afterwards. */
  searches?: Query[];
};

/** The outcome of an order, as a line of JSON on stdout. */
export interface Outcome {
  /** Name and message of the error if the store could not be opened. */
  refused?: [name: string, message: string];
  /** For each stream an outcome or the name of an error. */
  streams?: string[];
}

// After the program is loaded, because its files may be readable by root only.
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
