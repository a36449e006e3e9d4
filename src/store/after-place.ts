/** SQL with its parameters. The SQL has field paths of the program, and never a caller's value. */
export interface Fragment {
  sql: string;
  values: (string | number)[];
}

/** A sort key with its value at a place; null if it has none there, which sorts first. The last key always has one. */
export interface PlacedKey {
  key: Fragment;
  isNullable: boolean;
  value: Fragment | null;
}

/**
 * Conditions for the streams after a place of an order. The streams of the first condition come first. Each condition
 * has one range of the first key, so that an index can begin at the place.
 */
export function afterPlace(keys: readonly PlacedKey[], descending: boolean): Fragment[] {
  const [beyond, orEqual] = descending ? ["<", "<="] : [">", ">="];

  function after([one, ...others]: readonly PlacedKey[]): Fragment {
    const { key, isNullable, value } = one as PlacedKey;
    if (value === null) {
      const ties = after(others);
      return descending ? sql`(${key} IS NULL AND ${ties})` : sql`(${key} IS NOT NULL OR ${ties})`;
    }
    const ties = others.length > 0 ? sql` OR (${key} = ${value} AND ${after(others)})` : undefined;
    const last = descending && isNullable ? sql` OR ${key} IS NULL` : undefined;
    return sql`(${key} ${beyond} ${value}${ties}${last})`;
  }

  const [{ key, isNullable, value }, ...others] = keys as readonly [PlacedKey, ...PlacedKey[]];
  if (others.length === 0) return [after(keys)];
  const ties = after(others);
  if (value === null) {
    const same = sql`(${key} IS NULL AND ${ties})`;
    return descending ? [same] : [same, sql`(${key} IS NOT NULL)`];
  }
  const near = sql`(${key} ${orEqual} ${value} AND (${key} ${beyond} ${value} OR ${ties}))`;
  return descending && isNullable ? [near, sql`(${key} IS NULL)`] : [near];
}

/** A template of fragments and of SQL as text. */
function sql(texts: TemplateStringsArray, ...parts: (Fragment | string | undefined)[]): Fragment {
  const fragments = parts.map((part) => (typeof part === "object" ? part : { sql: part ?? "", values: [] }));
  return {
    sql: texts.reduce((sum, text, index) => sum + (fragments[index - 1]?.sql ?? "") + text),
    values: fragments.flatMap(({ values }) => values),
  };
}
