import { AccessService, RoleSchema, type Token, TokenSchema } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { text } from "../frame/options.ts";
import { type Column, createListing, OUTPUT, timeOf } from "../output.ts";
import { pagesOf } from "../pages.ts";

const COLUMNS: Column<Token>[] = [
  ["ID", ({ details }) => details?.id ?? ""],
  ["SUBJECT", ({ subject }) => subject],
  ["GRANTS", grantsOf],
  ["EXPIRES", ({ expires }) => timeOf(expires) || "never"],
];

/** Such as `ORG_OWNER@acme,LOGIN_CLIENT`. */
export function grantsOf({ grants }: Pick<Token, "grants">): string {
  return grants
    .map(({ role, organizationId }) => {
      const name = RoleSchema.value[role]?.localName ?? String(role);
      return organizationId === undefined ? name : `${name}@${organizationId}`;
    })
    .join(",");
}

export const tokenList = command({
  summary: "List the tokens that are not revoked, oldest first",
  options: { subject: text("SUBJECT", "only those of this subject"), ...OUTPUT },
  example: "token list --subject fraud-detector",
  async run({ subject, output }, _args, around) {
    const client = clientOf(AccessService, around.env);
    const listing = createListing(TokenSchema, COLUMNS, output, around);
    const pages = pagesOf((query) => client.listTokens({ query, ...(subject !== undefined && { subject }) }));
    for await (const page of pages) listing.print(page);
    return EX_OK;
  },
});
