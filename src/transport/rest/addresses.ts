import type { DescMethod } from "@bufbuild/protobuf";
import { distance } from "../../nearest.ts";
import type { Route } from "./routes.ts";

/** A verb and a path that the server serves. */
export interface Address {
  verb: string;
  segments: Route["segments"];
}

/** A longer path, in characters, is not compared with others: nobody typed it. */
const MAX_LENGTH = 1_000;
/** What people leave out at the start of a path. */
const PREFIXES = ["", "/resources", "/resources/v3alpha"];

/** The addresses of all routes, and of all methods by their own names. */
export function addressesOf(routes: readonly Route[], methods: readonly DescMethod[]): Address[] {
  const named = methods.map(({ parent, name }) => ({
    verb: "POST",
    segments: [{ literal: parent.typeName }, { literal: name }],
  }));
  return [...routes, ...named];
}

/**
 * The path that the caller of an unknown path probably meant: without "/" at its end, with the usual start, or with up
 * to two other letters in a segment. The path takes the caller's verb. Undefined if no path is near, or for a long path.
 */
export function nearestAddress(addresses: readonly Address[], verb: string, path: string): string | undefined {
  if (path.length > MAX_LENGTH) return undefined;
  const given = path.replace(/\/+$/, "");
  let best: { far: number; path: string } | undefined;
  for (const prefix of PREFIXES) {
    const pieces = `${prefix}${given}`.slice(1).split("/");
    for (const address of addresses) {
      if (address.verb !== verb || address.segments.length !== pieces.length) continue;
      const far = farFrom(address, pieces);
      if (far < (best?.far ?? Number.POSITIVE_INFINITY)) best = { far, path: pathOf(address, pieces) };
    }
  }
  return best?.path;
}

/** A sentence that names the path that the caller probably meant, with a space before it; empty if no path is near. */
export type Hint = (verb: string, path: string) => string;

export function createHint(routes: readonly Route[], methods: readonly DescMethod[]): Hint {
  const addresses = addressesOf(routes, methods);
  return (verb, path) => {
    const near = nearestAddress(addresses, verb, path);
    return near === undefined ? "" : ` Did you mean ${near.slice(0, 200)}?`;
  };
}

function farFrom({ segments }: Address, pieces: readonly string[]): number {
  const each = segments.map((segment, index) => {
    const piece = pieces[index] as string;
    if ("literal" in segment) return distance(piece, segment.literal);
    return piece === "" ? Number.POSITIVE_INFINITY : 0;
  });
  return each.reduce((sum, far) => sum + far, 0);
}

function pathOf({ segments }: Address, pieces: readonly string[]): string {
  return `/${segments.map((segment, index) => ("literal" in segment ? segment.literal : pieces[index])).join("/")}`;
}
