import { adminCreateUser } from "./admin/create-user.ts";
import { adminList } from "./admin/list.ts";
import { adminResetKey } from "./admin/reset-key.ts";
import { adminRevoke } from "./admin/revoke.ts";
import { adminToken } from "./admin/token.ts";
import { adminUnlock } from "./admin/unlock.ts";
import { lock, unlock } from "./bulk/lock.ts";
import { explain } from "./client.ts";
import { completionOf } from "./completion/completion.ts";
import { events } from "./event/events.ts";
import type { Group, Surroundings } from "./frame/command.ts";
import { runCommandLine } from "./frame/run.ts";
import { userImport } from "./import/import.ts";
import { policyReset } from "./policy/reset.ts";
import { policySet } from "./policy/set.ts";
import { policyShow } from "./policy/show.ts";
import { check } from "./server/check.ts";
import { config } from "./server/config.ts";
import { consoleCommand } from "./server/console.ts";
import { demo } from "./server/demo.ts";
import { serve } from "./server/serve.ts";
import { status } from "./server/status.ts";
import { sessionsEnd } from "./session/end.ts";
import { sessionsList } from "./session/list.ts";
import { tokenCreate } from "./token/create.ts";
import { tokenList } from "./token/list.ts";
import { tokenRevoke } from "./token/revoke.ts";
import { userCreate } from "./user/create.ts";
import { userDelete } from "./user/delete.ts";
import { userList } from "./user/list.ts";
import { userShow } from "./user/show.ts";

/** All commands, in the order of the help. */
export const COMMANDS: Group = {
  summary: "userlock locks user accounts",
  commands: {
    lock,
    unlock,
    user: {
      summary: "Show, list and change users",
      commands: {
        show: userShow,
        list: userList,
        create: userCreate,
        import: userImport,
        delete: userDelete,
        lock: { ...lock, example: "user lock alice --reason fraud" },
        unlock: { ...unlock, example: "user unlock alice" },
      },
    },
    sessions: {
      summary: "Show and end the sessions of a user",
      commands: { list: sessionsList, end: sessionsEnd },
      default: "list",
    },
    events,
    policy: {
      summary: "Show and change when wrong passwords lock",
      commands: { show: policyShow, set: policySet, reset: policyReset },
    },
    token: {
      summary: "Make, list and revoke tokens",
      commands: { create: tokenCreate, list: tokenList, revoke: tokenRevoke },
    },
    admin: {
      summary: "Work on the store, without a server",
      commands: {
        unlock: adminUnlock,
        token: adminToken,
        revoke: adminRevoke,
        list: adminList,
        "create-user": adminCreateUser,
        "reset-key": adminResetKey,
      },
    },
    console: consoleCommand,
    status,
    serve,
    check,
    config,
    demo,
    completion: completionOf(() => COMMANDS),
  },
};

const EPILOGUE = `The server is at USERLOCK_URL (default http://127.0.0.1:8080), and the caller's token is in USERLOCK_TOKEN.
admin and console work on the store in USERLOCK_STORE, with the server down or up.`;

/** Runs `userlock …`. Resolves with the exit code. */
export function runUserlock(args: string[], around: Surroundings): Promise<number> {
  return runCommandLine(COMMANDS, args, around, { explain, epilogue: EPILOGUE });
}
