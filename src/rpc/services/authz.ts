import type { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { type Bearer, demand } from "../../app/authorize.ts";
import { fromOrganization, LAST_SECOND, toTimestamp } from "../convert/messages.ts";
import type { Implementation } from "../handler.ts";

/** AuthzService. */
export function authzMethods(): Implementation<typeof AuthzService> {
  return {
    async authorize({ organization, role }, bearer) {
      demand(bearer, { organization: fromOrganization(organization), role: role || undefined });
      return toAuthorized(bearer);
    },
  };
}

function toAuthorized({ principal, user }: Bearer) {
  const { subject, session, expires } = principal;
  const state = user?.state;
  return {
    userId: subject,
    username: state?.usernames[0]?.name ?? "",
    email: state?.email?.address ?? "",
    sessionId: session?.id ?? "",
    ...(expires !== undefined && { expires: toTimestamp(Math.min(expires, LAST_SECOND)) }),
    organizationId: user?.owner.type === "org" ? user.owner.id : "",
  };
}
