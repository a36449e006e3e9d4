// Proves what the files of the console's log have: CSV for spreadsheets and NDJSON for programs, page by page.
import { create, fromJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, UnlockCause } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCause, OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { beginFile, type Growing, grow } from "../../../src/console/log/export.ts";
import { csvCell, FORMATS, fieldsOf } from "../../../src/console/log/files.ts";

const at = (text: string) => timestampFromDate(new Date(text));

const LOCKED = create(EventSchema, {
  cursor: "0000000000000042",
  type: "user.locked",
  objectType: "user",
  objectId: "mallory",
  userId: "mallory",
  owner: { type: OwnerType.ORG, id: "acme" },
  time: at("2026-05-01T02:59:58.123Z"),
  actor: { subject: "fraud-bot", tokenId: "7" },
  requestId: "r-1",
  address: "203.0.113.7",
  userAgent: 'Bot "3", de',
  change: {
    case: "lock",
    value: {
      cause: LockCause.MANUAL,
      reason: "fraud",
      note: '=HYPERLINK("http://evil")\nÜber Nacht',
      lockedBy: "fraud-bot",
      since: at("2026-05-01T02:59:58.123Z"),
      until: at("2026-05-01T04:00:00Z"),
    },
  },
  denied: true,
  deniedUntil: at("2026-05-01T04:00:00Z"),
});

describe("a cell of a CSV file", () => {
  test.each([
    ["text is in quotes", "alice", '"alice"'],
    ["an empty one has quotes only", "", '""'],
    ["commas and line ends stay", "a,b\r\nc", '"a,b\r\nc"'],
    ["quotes are doubled", 'say "hi"', '"say ""hi"""'],
    ["a minus inside of a word stays", "a-b+c@d=e", '"a-b+c@d=e"'],
    ["= begins no formula", "=1+1", '"\'=1+1"'],
    ["+ begins no formula", "+49 30", '"\'+49 30"'],
    ["- begins no formula", "-1", '"\'-1"'],
    ["@ begins no formula", "@SUM(A1)", '"\'@SUM(A1)"'],
    ["a full-width = begins no formula", "＝1", '"\'＝1"'],
    ["a formula after spaces becomes text", "  =1", '"\'  =1"'],
    ["a tab does not begin a cell", "\t=1", "\"'\t'=1\""],
    ["a carriage return does not begin a cell", "\rx", '"\'\rx"'],
    ["a formula after a semicolon becomes text, because semicolons may separate cells", "a;=1", '"a;\'=1"'],
    ["a formula in a second line becomes text", "a\n=1", '"a\n\'=1"'],
    ["quotes do not hide a formula", '"=1', '"""=1"'],
  ])("%s", (_name, text, cell) => expect(csvCell(text)).toBe(cell));
});

test("a CSV file has a byte order mark, a line of names and a line for each event, which end in CRLF", () => {
  const { head, line } = FORMATS.csv;
  expect(head.startsWith('\u{feff}"time","type","user_id","actor",')).toBe(true);
  expect(head.endsWith("\r\n")).toBe(true);
  const cells = line(LOCKED);
  expect(
    cells.startsWith(
      '"2026-05-01T02:59:58.123Z","user.locked","mallory","fraud-bot","7","203.0.113.7","Bot ""3"", de",',
    ),
  ).toBe(true);
  expect(cells).toContain('"LOCK_CAUSE_MANUAL","fraud","\'=HYPERLINK(""http://evil"")\nÜber Nacht"');
  expect(cells.endsWith('"0000000000000042"\r\n')).toBe(true);
});

test("each event has as many cells as there are names", () => {
  const names = FORMATS.csv.head.split('","').length;
  for (const event of [create(EventSchema, {}), create(EventSchema, { type: "token.created" })]) {
    expect(FORMATS.csv.line(event).split('","').length).toBe(names);
  }
});

test("a line of an NDJSON file is the event as the API has it, and has no other line end", () => {
  const line = FORMATS.ndjson.line(LOCKED);
  expect(line.indexOf("\n")).toBe(line.length - 1);
  expect(fromJsonString(EventSchema, line)).toEqual(LOCKED);
});

test("the fields of an event are those that are set", () => {
  const event = create(EventSchema, {
    type: "user.unlocked",
    userId: "bob",
    change: { case: "unlock", value: { cause: UnlockCause.EXPIRED } },
  });
  expect(fieldsOf(event)).toEqual([
    ["type", "user.unlocked"],
    ["user_id", "bob"],
    ["unlock_cause", "UNLOCK_CAUSE_EXPIRED"],
  ]);
});

describe("a file grows page by page", () => {
  const format = FORMATS.ndjson;
  /** A log of so many events. Its cursors are the positions. */
  const logOf = (length: number, asked: number[] = []) => {
    const list = async ({ cursor = "", limit = 0 }: { cursor?: string; limit?: number }) => {
      asked.push(limit);
      const begin = Number(cursor);
      const end = Math.min(begin + limit, length);
      const events = Array.from(
        { length: end - begin },
        (_, index): Event => create(EventSchema, { cursor: String(begin + index) }),
      );
      return { events, nextCursor: end < length ? String(end) : "" };
    };
    return list as Parameters<typeof grow>[1]["list"];
  };
  const { signal } = new AbortController();
  const all = async (pages: AsyncGenerator<Growing>) => {
    const states: Growing[] = [];
    for await (const state of pages) states.push(state);
    return states;
  };
  const linesOf = ({ parts }: Growing) => parts.join("").split("\n").length - 1;

  test("until the log has no more", async () => {
    const states = await all(grow(beginFile(format), { format, request: {}, list: logOf(2_500), signal }));
    expect(states.map(({ count, isComplete }) => [count, isComplete])).toEqual([
      [1_000, false],
      [2_000, false],
      [2_500, true],
    ]);
    expect(linesOf(states.at(-1)!)).toBe(2_500);
  });

  test("until it is full: then it is not complete, and the next one begins where it ends", async () => {
    const asked: number[] = [];
    const options = { format, request: {}, list: logOf(4_000, asked), signal, most: 1_500 };
    const full = (await all(grow(beginFile(format), options))).at(-1)!;
    expect([full.count, full.isComplete, asked]).toEqual([1_500, false, [1_000, 500]]);
    const second = (await all(grow(beginFile(format, full.next), options))).at(-1)!;
    expect(second.parts[1]!.split("\n")[0]).toBe('{"cursor":"1500"}');
  });

  test("and goes on after a page that failed", async () => {
    let calls = 0;
    const log = logOf(3_000);
    const list: typeof log = async (...page) => {
      if (++calls === 2) throw new Error("away");
      return log(...page);
    };
    let file = beginFile(format);
    const options = { format, request: {}, list, signal };
    const run = async () => {
      for await (const state of grow(file, options)) file = state;
    };
    await expect(run()).rejects.toThrow("away");
    expect(file.count).toBe(1_000);
    await run();
    expect([file.count, linesOf(file), file.isComplete]).toEqual([3_000, 3_000, true]);
  });
});
