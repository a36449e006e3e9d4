import type { JsonObject } from "@bufbuild/protobuf";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { textOf } from "../bulk/id-list.ts";
import { clientOf } from "../client.ts";
import { command, type Surroundings } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { flag, many, text } from "../frame/options.ts";
import { printable } from "../frame/printable.ts";
import { OUTPUT, printJson } from "../output.ts";
import { createRequest } from "./new-user.ts";

export const userCreate = command({
  summary: "Create a user and print the id",
  argument: "[ID]",
  options: {
    organization: text("ID", "the organization that owns the user; default: the instance"),
    username: many(text("NAME", "a name to log in with")),
    email: text("ADDRESS", "email address"),
    "email-verified": flag("the address is verified"),
    phone: text("NUMBER", "phone number"),
    "phone-verified": flag("the number is verified"),
    "password-file": text("FILE", "a file with the password; - is stdin"),
    "change-required": flag("the user must change the password at the next login"),
    "schema-id": text("ID", "the schema that the data follows"),
    "schema-type": text("TYPE", "the type of the schema"),
    data: text("JSON", 'anything about the user, such as {"department":"sales"}'),
    ...OUTPUT,
  },
  example: "user create alice --username alice --email alice@example.com --email-verified",
  async run(values, [id], around) {
    const file = values["password-file"];
    if (values["change-required"] && file === undefined) {
      throw new UsageError("--change-required goes with --password-file");
    }
    const client = clientOf(UserService, around.env);
    const request = createRequest({
      id,
      organization: values.organization,
      usernames: values.username,
      email: values.email,
      emailVerified: values["email-verified"],
      phone: values.phone,
      phoneVerified: values["phone-verified"],
      password: file === undefined ? undefined : await passwordIn(file, around),
      changeRequired: values["change-required"],
      schemaId: values["schema-id"],
      schemaType: values["schema-type"],
      data: values.data === undefined ? undefined : objectIn(values.data),
    });
    const { details } = await client.createUser(request);
    const { id: created = "" } = details ?? {};
    if (values.output === "json") printJson(JSON.stringify({ id: created }), around);
    else around.stdout.write(`${printable(created)}\n`);
    return EX_OK;
  },
});

/** The first line of a file. */
async function passwordIn(file: string, { stdin }: Surroundings): Promise<string> {
  let all = "";
  for await (const piece of file === "-" ? stdin() : textOf(file)) all += piece;
  const [password = ""] = all.split(/\r?\n/, 1);
  if (password === "") throw new UsageError("--password-file has no password in its first line");
  return password;
}

function objectIn(json: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Refused below, like JSON that is not an object.
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new UsageError('--data must be a JSON object, such as {"department":"sales"}');
}
