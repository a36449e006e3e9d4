import type { DatabaseSync } from "node:sqlite";

/** One of so many events of a user has an entry in events_by_milestone. */
const MILESTONE = 64;
const LAST = 2n ** 63n - 1n;

/**
 * Positions of the next events about the users, behind this one if there is one; `count` of them if there are so many.
 *
 * A user's own events are a chain that only leads back. So it is entered near to where they are: descending at the
 * first milestone that is not passed yet, ascending so many milestones further on that there are enough before it.
 */
export function eventsOfUsers(
  connection: DatabaseSync,
  instance: string,
  {
    userIds,
    behind,
    descending,
    count,
  }: {
    userIds: readonly string[];
    behind: bigint | undefined;
    descending: boolean;
    count: number;
  },
): number[] {
  const users = JSON.stringify([...new Set(userIds)]);
  const direction = descending ? "DESC" : "ASC";
  const [after, before] = descending ? [0n, behind ?? LAST] : [behind ?? 0n, LAST];
  const entry = descending ? { from: before, skipped: 0 } : { from: after + 1n, skipped: Math.ceil(count / MILESTONE) };
  // Newest first, so that nothing is followed further than what was asked for.
  const steps = descending ? count + MILESTONE * userIds.length : -1;
  const statement = connection.prepare(`
    WITH RECURSIVE own (position) AS (
      SELECT coalesce((
          SELECT position FROM events
          WHERE instance = streams.instance AND id = streams.id AND kind = 'user' AND version % ${MILESTONE} = 0
            AND position >= ?
          ORDER BY position LIMIT 1 OFFSET ?
        ), streams.last_event) AS position
      FROM json_each(?) AS asked CROSS JOIN streams
      WHERE streams.instance = ? AND streams.kind = 'user' AND streams.id = asked.value
      UNION ALL
      SELECT events.previous FROM own JOIN events USING (position) WHERE events.previous > ?
      ORDER BY position DESC LIMIT ?
    ), others (position) AS (
      SELECT other.position FROM json_each(?) AS asked CROSS JOIN events AS other
      WHERE other.position IN (
        SELECT position FROM events
        WHERE instance = ? AND user_id = asked.value AND kind <> 'user' AND position > ? AND position < ?
        ORDER BY position ${direction} LIMIT ?)
    )
    SELECT position FROM (SELECT position FROM own UNION ALL SELECT position FROM others)
    WHERE position > ? AND position < ?
    ORDER BY position ${direction} LIMIT ?`);
  statement.setReturnArrays(true);
  const found = statement.all(
    ...[entry.from, entry.skipped, users, instance, after, steps],
    ...[users, instance, after, before, count],
    ...[after, before, count],
  );
  return (found as unknown as [number][]).map(([position]) => position);
}
