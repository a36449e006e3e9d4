import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  CreateSessionRequest,
  SessionSchema,
  SessionService,
} from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import type { Stored } from "../../app/execute.ts";
import type { Login, LoginAttempt } from "../../app/login.ts";
import type { FindSession, Sessions } from "../../app/sessions.ts";
import { hashSecret, newSessionSecret } from "../../auth/authenticate.ts";
import type { InstanceSecrets } from "../../auth/instance-secrets.ts";
import { may } from "../../domain/access.ts";
import type { Session } from "../../domain/session.ts";
import {
  fromOrganization,
  fromPage,
  toDetails,
  toDetailsAnswer,
  toListDetails,
  toTimestamp,
} from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";

/** SessionService. `lifetime` is a session's, `deviceLifetime` a device token's, in microseconds. */
export function sessionMethods(parts: {
  login: Login;
  sessions: Sessions;
  findSession: FindSession;
  secrets: InstanceSecrets;
  newId: () => string;
  clock: () => number;
  instanceId: string;
  lifetime: number;
  deviceLifetime: number;
}): Implementation<typeof SessionService> {
  const { login, sessions, findSession, secrets, newId, clock, instanceId, lifetime, deviceLifetime } = parts;
  return {
    createSession: {
      async run(request, caller) {
        const owner = await login.logIn(toAttempt(request), caller);
        const secret = newSessionSecret();
        const device = owner.state.devices?.at(-1) as string;
        const deviceToken = secrets.deviceToken(owner.id, device, clock() + deviceLifetime);
        const toAnswer = (opened: Stored<Session>) => ({
          details: toDetails(opened),
          sessionId: opened.id,
          sessionToken: secret,
          deviceToken,
          expires: toTimestamp(opened.state.expires),
          changeRequired: owner.state.password?.changeRequired ?? false,
        });
        const receipt = caller.receiptFor?.(toAnswer);
        const opening = {
          id: newId(),
          tokenHash: hashSecret(secret),
          lifetime,
          device,
          address: request.address || undefined,
          userAgent: request.userAgent || undefined,
          receipt,
        };
        return toAnswer(await sessions.open(owner, opening, caller));
      },
      /** A repeated login fails if its session has ended. */
      async checkAgain({ sessionToken }, request, caller) {
        if (!(await findSession(hashSecret(sessionToken)))) await login.fail(toAttempt(request), caller);
      },
    },
    async getSession({ sessionId, sessionToken }, caller) {
      const { session } = await sessions.get(sessionId, proof(sessionToken), caller.permission, caller);
      return { session: toSession(session) };
    },
    async listSessions({ id, query }, caller) {
      const page = fromPage(query);
      const list = await sessions.list(id, page, caller.permission, caller);
      return { details: toListDetails(page, list, clock()), result: list.records.map(toSession) };
    },
    async deleteSession({ sessionId, sessionToken }, caller) {
      const ending = { permission: caller.permission, receipt: caller.receiptFor?.(toDetailsAnswer) };
      return toDetailsAnswer(await sessions.end(sessionId, proof(sessionToken), ending, caller));
    },
    async deleteSessions({ id }, caller) {
      const ending = { permission: caller.permission, receipt: caller.receiptFor?.(toDetailsAnswer) };
      return toDetailsAnswer(await sessions.endAll(id, ending, caller));
    },
    async introspectToken({ token }, { principal, permission }) {
      const open = await findSession(hashSecret(token));
      if (!open || !may(principal, permission, open.session.owner)) return { active: false };
      const seconds = (micros: number) => BigInt(Math.floor(micros / 1_000_000));
      return {
        active: true,
        sub: open.user.id,
        username: open.user.state.usernames[0]?.name ?? "",
        iat: seconds(open.session.created),
        exp: seconds(open.session.state.expires),
        iss: instanceId,
      };
    },
  };
}

function toAttempt({ organization, user, password, deviceToken }: CreateSessionRequest): LoginAttempt {
  const named = user.case === "loginName" ? { loginName: user.value } : { id: user.value ?? "" };
  return { organization: fromOrganization(organization), user: named, password, deviceToken };
}

function proof(sessionToken: string): string | undefined {
  return sessionToken === "" ? undefined : hashSecret(sessionToken);
}

function toSession(stored: Stored<Session>): MessageInitShape<typeof SessionSchema> {
  const { userId, expires, address = "", userAgent = "" } = stored.state;
  return { details: toDetails(stored), userId, expires: toTimestamp(expires), address, userAgent };
}
