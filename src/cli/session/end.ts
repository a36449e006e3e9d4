import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { flag, text } from "../frame/options.ts";
import { confirm } from "../frame/run.ts";

export const sessionsEnd = command({
  summary: "End all sessions of a user and forget the user's devices, or end one session",
  argument: "[USER]",
  options: {
    session: text("ID", "end this session only"),
    yes: flag("do not ask first"),
  },
  example: "sessions end alice",
  async run({ session, yes }, [user], around) {
    if ((user === undefined) === (session === undefined)) throw new UsageError("give USER or --session");
    const client = clientOf(SessionService, around.env);
    if (session !== undefined) {
      await client.deleteSession({ sessionId: session });
      around.stderr.write(`ended session ${session}\n`);
      return EX_OK;
    }
    const id = user as string;
    if (!yes) await confirm(`End all sessions of ${id}?`, around);
    await client.deleteSessions({ id });
    around.stderr.write(`ended all sessions of ${id}\n`);
    return EX_OK;
  },
});
