import type { UserPlace } from "../../app/search.ts";
import { invalidField } from "../../domain/errors.ts";

/** Encrypts for a context. `unseal` throws for what was not sealed for it. */
interface Sealer {
  seal(plain: Uint8Array, context: string): Uint8Array;
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

const CONTEXT = "cursors of SearchUsers";

type Order = Pick<UserPlace, "column" | "descending">;

/** Cursors of lists of users. They are encrypted, because they can have an email address, and URLs have cursors. */
export function createCursors({ seal, unseal }: Sealer) {
  function open(cursor: string): UserPlace {
    try {
      return JSON.parse(Buffer.from(unseal(Buffer.from(cursor, "base64url"), CONTEXT)).toString());
    } catch {
      throw invalidField("cursor", "is not a cursor of this server; use next_cursor of the previous page");
    }
  }

  return {
    to: (place: UserPlace): string =>
      Buffer.from(seal(Buffer.from(JSON.stringify(place)), CONTEXT)).toString("base64url"),
    /** Throws INVALID_REQUEST for any other text, and for a cursor of another order. */
    from(cursor: string, { column, descending }: Order): UserPlace {
      const place = open(cursor);
      if (place.column === column && place.descending === descending) return place;
      throw invalidField("cursor", "is of another order; use the sorting_column and query.desc of the previous page");
    },
  };
}
