import { MAX_PAGE_LENGTH } from "../limits.ts";

/** What each row of a page has besides its own columns. */
export interface OnPage {
  place: number;
  /** How many rows there would be if all had fitted. */
  asked: number;
}

/**
 * Of the rows of a statement the first, and more as long as they fit on the page with it. `length` is an expression on
 * a row. It looks at all rows, be they on the page or not.
 */
export const pageOf = (rows: string, length: string): string => `
  SELECT * FROM (
    SELECT row_number() OVER before AS place, count(*) OVER () AS asked, sum(${length}) OVER before AS length, *
    FROM (${rows}) AS ordered
    WINDOW before AS (ROWS UNBOUNDED PRECEDING)
  ) AS measured
  WHERE place = 1 OR length <= ${MAX_PAGE_LENGTH}
  ORDER BY place`;

/** Whether there are fewer rows than were asked for and are there, for they did not fit. */
export const isCut = (rows: readonly OnPage[]): boolean => rows.length < (rows[0]?.asked ?? 0);
