import { MAX_PAGE_LENGTH } from "../limits.ts";

/** Columns that are added to each row of a page. */
export interface OnPage {
  place: number;
  /** The number of rows without the length limit. */
  wanted: number;
}

/**
 * Returns the first row of a statement, and the next ones that fit on the page. `length` is an expression on a row. It
 * reads all rows.
 */
export const pageOf = (rows: string, length: string): string => `
  SELECT * FROM (
    SELECT row_number() OVER before AS place, count(*) OVER () AS wanted, sum(${length}) OVER before AS length, *
    FROM (${rows}) AS ordered
    WINDOW before AS (ROWS UNBOUNDED PRECEDING)
  ) AS measured
  WHERE place = 1 OR length <= ${MAX_PAGE_LENGTH}
  ORDER BY place`;

/** Whether rows are missing because they did not fit. */
export const isCut = (rows: readonly OnPage[]): boolean => rows.length < (rows[0]?.wanted ?? 0);
