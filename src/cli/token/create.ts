import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AccessService, Role } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { duration, required, text, word } from "../frame/options.ts";
import { printable } from "../frame/printable.ts";
import { OUTPUT, printJson } from "../output.ts";

const ROLES = Object.keys(Role).filter((name) => name !== "UNSPECIFIED") as (keyof typeof Role)[];

export const tokenCreate = command({
  summary: "Make a token and print its secret, this once",
  options: {
    subject: required(text("SUBJECT", "who holds the token: a user's id, or a name of your own")),
    role: required(word("ROLE", ROLES.join(", "), ROLES)),
    organization: text("ID", "the organization of the role; default: the instance"),
    expires: duration("TIME", "when it ends by itself, such as 12h or 30d; default: never"),
    ...OUTPUT,
  },
  example: "token create --subject fraud-detector --role ORG_USER_MANAGER --organization acme --expires 30d",
  async run({ subject, role, organization, expires, output }, _args, { env, stdout }) {
    const grant = { role: Role[role], ...(organization !== undefined && { organizationId: organization }) };
    const { token, details } = await clientOf(AccessService, env).createToken({
      subject,
      grants: [grant],
      ...(expires !== undefined && { expires: timestampFromMs(Date.now() + expires / 1_000) }),
    });
    if (output === "json") printJson(JSON.stringify({ id: details?.id, token }), { stdout });
    else stdout.write(`${printable(token)}\n`);
    return EX_OK;
  },
});
