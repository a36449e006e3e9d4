import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AccessService, Role, RoleSchema } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { duration, parse, UsageError } from "./arguments.ts";
import { clientOf, type Environment, EX_OK } from "./client.ts";

export const TOKEN_USAGE = `  userlock token create --subject S --role ROLE [--organization ID] [--expires 30d]
                            make a token and print its secret, this once
  userlock token list       list the tokens that are not revoked
  userlock token revoke ID  end a token
`;

const PAGE = 1_000;

/**
 * `userlock token …`: makes, lists and revokes tokens on a running server. What it prints on stdout is the secret alone
 * (create), a line for each token (list), or nothing (revoke). Resolves with the exit code. Rejects with UsageError or
 * the server's error.
 */
export async function runToken(
  args: string[],
  environment: Environment,
  print: (line: string) => void,
): Promise<number> {
  const [action, ...rest] = args;
  switch (action) {
    case "create":
      await create(rest, environment, print);
      break;
    case "list":
      await list(rest, environment, print);
      break;
    case "revoke":
      await revoke(rest, environment);
      break;
    default:
      throw new UsageError(`token must be followed by create, list or revoke:\n${TOKEN_USAGE}`);
  }
  return EX_OK;
}

async function create(args: string[], environment: Environment, print: (line: string) => void): Promise<void> {
  const { subject, role, organization, expires } = parse(args, {
    subject: { type: "string" },
    role: { type: "string" },
    organization: { type: "string" },
    expires: { type: "string" },
  }).values;
  if (!subject) throw new UsageError("--subject is missing: it names the holder of the token");
  const names = Object.keys(Role).filter((name) => name !== "UNSPECIFIED");
  if (!role || !names.includes(role)) throw new UsageError(`--role must be one of ${names.join(", ")}`);
  const { token } = await clientOf(AccessService, environment).createToken({
    subject,
    grants: [
      { role: Role[role as keyof typeof Role], ...(organization !== undefined && { organizationId: organization }) },
    ],
    ...(expires !== undefined && { expires: timestampFromMs(Date.now() + duration(expires) / 1_000) }),
  });
  print(token);
}

async function list(args: string[], environment: Environment, print: (line: string) => void): Promise<void> {
  parse(args, {});
  const client = clientOf(AccessService, environment);
  for (let offset = 0n; ; ) {
    const { result, details } = await client.listTokens({ query: { offset, limit: PAGE } });
    for (const { details: token, subject, grants, expires } of result) {
      const roles = grants.map(({ role, organizationId }) => {
        const name = RoleSchema.value[role]?.localName ?? String(role);
        return organizationId === undefined ? name : `${name}@${organizationId}`;
      });
      const end = expires ? timestampDate(expires).toISOString() : "never";
      print([token?.id, subject, roles.join(","), `expires=${end}`].join("\t"));
    }
    offset += BigInt(result.length);
    if (result.length === 0 || offset >= (details?.totalResult ?? 0n)) return;
  }
}

async function revoke(args: string[], environment: Environment): Promise<void> {
  const [tokenId, ...more] = parse(args, {}, true).positionals;
  if (tokenId === undefined || more.length > 0) throw new UsageError("token revoke takes the id of one token");
  await clientOf(AccessService, environment).revokeToken({ tokenId });
}
