import { coalesce } from "../coalesce.ts";
import { endOf, type HoldersQuery, type Link, type LinkedRecord, type Receipt, type StreamRecord } from "../port.ts";
import type { Connections, Statement } from "./connections.ts";
import { type OnPage, pageOf } from "./page.ts";
import { steps } from "./search.ts";

/** A row of the table of streams. */
export interface StreamRow {
  kind: string;
  id: string;
  version: number;
  owner_type: StreamRecord["owner"]["type"];
  owner_id: string;
  created: number;
  changed: number;
  state: unknown;
}

const HEAD = ["kind", "id", "version", "owner_type", "owner_id", "created", "changed"];
const headOf = (table: string) => HEAD.map((name) => `${table}.${name}`).join(", ");
const columnsOf = (table: string) => `${headOf(table)}, ${table}.state`;

/** Look-ups by key. Keys are text that the server can store (isText). */
export interface Loads {
  byId(key: { kind: string; id: string }): Promise<StreamRecord | undefined>;
  byClaim(claim: string, link?: Link): Promise<LinkedRecord | undefined>;
  receipt(key: string): Promise<Receipt | undefined>;
}

/**
 * Creates look-ups that share a statement if they are concurrent. Connections keep plans, perhaps from when the tables
 * were empty. LATERAL with OFFSET 0 forces the index of the key. SELECT $2 hides the number of keys from the planner,
 * which would otherwise plan each statement anew.
 */
export function createLoads(connections: Connections, instance: string): Loads {
  const byClaim = coalesceClaims(connections, instance);
  return {
    byId: coalesce(
      async (keys) => {
        const rows = await connections.query<StreamRow & { place: number }>({
          name: "load",
          text: `SELECT key.place, ${columnsOf("s")}
            FROM unnest((SELECT $2::text[]), (SELECT $3::text[])) WITH ORDINALITY AS key(kind, id, place) CROSS JOIN LATERAL (
              SELECT * FROM streams WHERE instance = $1 AND kind = key.kind AND id = key.id OFFSET 0
            ) AS s`,
          values: [instance, keys.map(({ kind }) => kind), keys.map(({ id }) => id)],
        });
        return inPlaces(rows.map((row) => [row.place, toRecord(row)]));
      },
      ({ kind, id }) => `${kind}\0${id}`,
    ),
    byClaim: (claim, link) => byClaim({ claim, kind: link?.kind ?? null, path: link ? pathOf(link.field) : null }),
    receipt: coalesce(
      async (keys) => {
        const rows = await connections.query<Receipt & { place: number }>({
          name: "receipts",
          text: `SELECT r.*, wanted.place FROM unnest((SELECT $2::text[])) WITH ORDINALITY AS wanted(key, place) CROSS JOIN LATERAL (
              SELECT key, fingerprint, answer, expires FROM receipts WHERE instance = $1 AND key = wanted.key OFFSET 0
            ) AS r`,
          values: [instance, keys],
        });
        return inPlaces(rows.map(({ place, ...receipt }) => [place, receipt]));
      },
      (key: string) => key,
    ),
  };
}

function coalesceClaims(connections: Connections, instance: string) {
  return coalesce(
    async (keys: readonly { claim: string; kind: string | null; path: string | null }[]) => {
      const rows = await connections.query<StreamRow & { place: number; is_other: boolean }>({
        name: "load by claim",
        text: `SELECT key.place, found.*
            FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[])) WITH ORDINALITY AS key(claim, kind, path, place)
            CROSS JOIN LATERAL (
              SELECT kind, id FROM claims WHERE instance = $1 AND name = key.claim OFFSET 0
            ) AS c
            CROSS JOIN LATERAL (
              SELECT *, string_to_array(key.path, '.') AS path
              FROM streams WHERE instance = $1 AND kind = c.kind AND id = c.id OFFSET 0
            ) AS s
            CROSS JOIN LATERAL (
              SELECT false AS is_other, ${columnsOf("s")}
              UNION ALL (
                SELECT true, ${columnsOf("o")} FROM streams AS o WHERE instance = $1 AND kind = key.kind
                  AND id = CASE json_typeof(s.state #> s.path) WHEN 'string' THEN s.state #>> s.path END OFFSET 0
              )
            ) AS found ORDER BY key.place, found.is_other`,
        values: [instance, keys.map(({ claim }) => claim), keys.map(({ kind }) => kind), keys.map(({ path }) => path)],
      });
      const found = new Map<number, LinkedRecord>();
      for (const row of rows) {
        const record = toRecord(row);
        const first = row.is_other && found.get(row.place);
        if (first) first.other = record;
        else found.set(row.place, { record });
      }
      return inPlaces(found);
    },
    ({ claim, kind, path }) => [claim, kind, path].join("\0"),
  );
}

/** A row of a page of holders. */
export type HolderRow = StreamRow & OnPage & { claim: string };

/** A page of holders. LATERAL with OFFSET 0 makes the server begin with the range of claims. */
export function holdersStatement(instance: string, { prefix, after = prefix, limit, only }: HoldersQuery): Statement {
  const state = only ? `json_build_object(${only.map(fieldOf).join(", ")})` : "s.state";
  return {
    text: pageOf(
      `SELECT c.name AS claim, ${headOf("s")}, ${state} AS state
      FROM claims AS c CROSS JOIN LATERAL (
        SELECT * FROM streams WHERE instance = $1 AND kind = c.kind AND id = c.id OFFSET 0
      ) AS s
      WHERE c.instance = $1 AND c.name > $2 AND c.name < $3 ORDER BY c.name LIMIT $4`,
      "length(state::text)",
    ),
    values: [instance, after, endOf(prefix), limit],
  };
}

/** A field of a state as the name and the value of an object. */
function fieldOf(field: string): string {
  const [, name] = steps(field);
  return `'${name}', s.state -> '${name}'`;
}

/** Sorts results by the place of their key, which PostgreSQL counts from 1. */
function inPlaces<Found>(found: Iterable<[place: number, Found]>): Found[] {
  const inOrder: Found[] = [];
  for (const [place, one] of found) inOrder[place - 1] = one;
  return inOrder;
}

/** The steps of a path into a state, joined by dots. */
function pathOf(field: string): string {
  const [start, ...path] = steps(field);
  if (start !== "state") throw new Error(`not a path into a state: ${field}`);
  return path.join(".");
}

export function toRecord(row: StreamRow): StreamRecord {
  const { kind, id, version, owner_type, owner_id, created, changed, state } = row;
  return { kind, id, version, owner: { type: owner_type, id: owner_id }, created, changed, state };
}
