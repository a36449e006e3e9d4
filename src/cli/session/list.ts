import { type Session, SessionSchema, SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { type Column, createListing, OUTPUT, timeOf } from "../output.ts";
import { pagesOf } from "../pages.ts";

const COLUMNS: Column<Session>[] = [
  ["ID", ({ details }) => details?.id ?? ""],
  ["OPENED", ({ details }) => timeOf(details?.created)],
  ["EXPIRES", ({ expires }) => timeOf(expires)],
  ["ADDRESS", ({ address }) => address],
  ["USER AGENT", ({ userAgent }) => userAgent],
];

export const sessionsList = command({
  summary: "List the open sessions of a user, oldest first",
  argument: "USER",
  options: OUTPUT,
  example: "sessions list alice",
  async run({ output }, [id = ""], around) {
    const client = clientOf(SessionService, around.env);
    const listing = createListing(SessionSchema, COLUMNS, output, around);
    for await (const page of pagesOf((query) => client.listSessions({ id, query }))) listing.print(page);
    return EX_OK;
  },
});
