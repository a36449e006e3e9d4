// Proves that options of the bulk commands are read or refused with a sentence.
import { TextFilterMethod } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { idsIn } from "../../../src/cli/bulk/id-list.ts";
import { UsageError } from "../../../src/cli/frame/errors.ts";
import { jobOf } from "../../support/commands.ts";

const read = (...args: string[]) => jobOf("lock", args);

test.each<[args: string[], says: string]>([
  [[], "by ids, by --ids or by filters"],
  [["ann", "--ids", "x"], "one of these only"],
  [["ann", "--email-contains", "x"], "one of these only"],
  [["--ids", "x", "--filter", "[]"], "one of these only"],
  [["--email-contains", ""], "--email-contains is empty"],
  [["--ids", ""], "--ids is empty"],
  [["--filter", "{"], "--filter must be"],
  [["--filter", '{"colour":"red"}'], "--filter must be"],
  [["--filter", "[]"], "--filter must be"],
  [["ann", "--until", "tomorrow"], "--until must be"],
  [["ann", "--until", "2030-01-31"], "--until must be"],
  [["ann", "--until", "2030-13-31T00:00:00Z"], "--until must be"],
  [["ann", "--duration", "soon"], "--duration must be"],
  [["ann", "--duration", "1h", "--until", "2030-01-31T00:00:00Z"], "not both"],
  [["ann", "--expect", "many"], "--expect must be"],
  [["ann", "--colour", "red"], "--colour"],
])("lock with the arguments %j is refused with: %s", (args, says) => {
  expect(() => read(...args)).toThrow(UsageError);
  expect(() => read(...args)).toThrow(says);
});

test("unlock refuses --reason, --note, --duration and --until", () => {
  for (const option of ["--reason", "--note", "--duration", "--until"]) {
    expect(() => jobOf("unlock", ["ann", option, "x"])).toThrow(option);
  }
});

test("filter options become filters of SearchUsers, combined with those in JSON", () => {
  const { source } = read(
    ...[
      "--organization",
      "acme",
      "--email-contains",
      "@evil.example",
      "--email-starts-with",
      "bot",
      "--username-starts-with",
      "bot",
      "--lock-reason",
      "x",
    ],
    ...["--filter", '[{"stateFilter":{"state":"USER_STATE_ACTIVE"}}]'],
  );
  const { EQUALS, CONTAINS_IGNORE_CASE, STARTS_WITH_IGNORE_CASE } = TextFilterMethod;
  expect("filters" in source && source.filters.map(({ filter }) => filter)).toMatchObject([
    { case: "organizationIdFilter", value: { id: "acme", method: EQUALS } },
    { case: "usernameFilter", value: { username: "bot", method: STARTS_WITH_IGNORE_CASE } },
    { case: "emailFilter", value: { address: "bot", method: STARTS_WITH_IGNORE_CASE } },
    { case: "emailFilter", value: { address: "@evil.example", method: CONTAINS_IGNORE_CASE } },
    { case: "lockFilter", value: { locked: true, reason: "x" } },
    { case: "stateFilter" },
  ]);
});

test("--organization with ids is sent as the expected organization", () => {
  expect(read("ann", "--organization", "acme")).toMatchObject({
    source: { ids: ["ann"] },
    request: { organization: { property: { case: "orgId", value: "acme" } } },
  });
});

test("the fingerprint of a command depends on its change and its server, not on option order or the file of ids", () => {
  const of = (...args: string[]) => read(...args).fingerprint;
  const same = of("--ids", "a.txt", "--reason", "x", "--note", "y");
  expect(of("--note", "y", "--reason", "x", "--ids", "-", "--resume", "f", "--expect", "3")).toBe(same);
  for (const other of [
    ["--reason", "z"],
    ["--reason", "x"],
    ["--reason", "x", "--note", "y", "--dry-run"],
  ]) {
    expect(of("--ids", "a.txt", ...other)).not.toBe(same);
  }
  expect(jobOf("lock", ["--ids", "a.txt", "--reason", "x", "--note", "y"], "http://other").fingerprint).not.toBe(same);
});

test("a list of ids is read correctly in pieces of any size", async () => {
  const text = '\uFEFFann\r\n# no\n\n  bob ,x\n"cat";y\nü';
  for (const size of [1, 3, 100]) {
    async function* pieces() {
      for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
    }
    const listed: string[] = [];
    for await (const { id, line } of idsIn(pieces())) listed.push(`${line} ${id}`);
    expect(listed).toEqual(["1 ann", "4 bob", "5 cat", "6 ü"]);
  }
});
