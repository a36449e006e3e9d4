import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { textOf } from "../bulk/id-list.ts";
import { addressOf, clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { flag, many, text, word } from "../frame/options.ts";
import { OUTPUT } from "../output.ts";
import { mappingOf } from "./fields.ts";
import { FORMATS, formatOf, type Row, rowsIn } from "./rows.ts";
import { runImport } from "./run.ts";

/** Timeout of a call, milliseconds. It is longer than the server's own. */
const TIMEOUT_MS = 40_000;

export const userImport = command({
  summary: "Create the users of a file: CSV with a header, or NDJSON; - is stdin",
  argument: "FILE",
  options: {
    format: word("FORMAT", "csv or ndjson; default: ndjson for names in .ndjson and .jsonl", FORMATS),
    map: many(text("FIELD=COLUMN", "the column with the values of a field, if its name differs")),
    "ignore-other-columns": flag("ignore columns that no field has"),
    organization: text("ID", "the organization of users whose row names none"),
    "change-required": flag("users must change their passwords at the next login"),
    "dry-run": flag("check the file, create no users"),
    resume: text("FILE", "keep the place in FILE, and go on from it"),
    ...OUTPUT,
  },
  example: "user import users.csv --map username=login --map passwordHash=bcrypt --dry-run",
  outlivesOutput: true,
  async run(values, [file = ""], around) {
    const { format = formatOf(file), map, organization, resume, output } = values;
    const client = clientOf(UserService, around.env, TIMEOUT_MS);
    const rows = () => rowsIn(file === "-" ? around.stdin() : textOf(file), format);
    const dryRun = values["dry-run"] === true;
    const changeRequired = values["change-required"];
    const job = {
      rows,
      total: await countOf(file, rows),
      mapping: mappingOf(map),
      defaults: { organization, changeRequired },
      ignoresUnknown: values["ignore-other-columns"] === true,
      dryRun,
      isJson: output === "json",
      resume,
      fingerprint: createHash("sha256")
        .update(JSON.stringify(["import", addressOf(around.env), map, organization, changeRequired, dryRun]))
        .digest("hex"),
    };
    return around.untilSignal((stop) => runImport(client, job, around, stop));
  },
});

/** The number of rows; undefined for a file that can be read only once. */
async function countOf(file: string, rows: () => AsyncIterable<Row>): Promise<number | undefined> {
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => file !== "-",
  );
  if (!isFile) return undefined;
  let count = 0;
  for await (const _ of rows()) count++;
  return count;
}
