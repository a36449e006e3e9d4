import { Authorization } from "../../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import type { createPipeline } from "../pipeline.ts";
import { accessMethods } from "./access.ts";
import { authzMethods, envoyMethods } from "./authz.ts";
import { eventMethods } from "./events.ts";
import { sessionMethods } from "./sessions.ts";
import { settingsMethods } from "./settings.ts";
import { userMethods } from "./users.ts";

/** The services that need a token. */
export const SERVICES = [
  UserService,
  ZITADELUsers,
  SessionService,
  SettingsService,
  AccessService,
  EventService,
  AuthzService,
  Authorization,
];

/** The services that reflection lists: also those that need no token. */
export const REFLECTED = [...SERVICES, Health, ServerReflection, ServerReflectionV1alpha];

type Parts = Parameters<typeof userMethods>[0] &
  Parameters<typeof sessionMethods>[0] &
  Parameters<typeof settingsMethods>[0] &
  Parameters<typeof accessMethods>[0] &
  Parameters<typeof eventMethods>[0] &
  Parameters<typeof envoyMethods>[0];

/** Adds all of SERVICES to the pipeline. */
export function serveAll({ serve }: Pick<ReturnType<typeof createPipeline>, "serve">, parts: Parts): void {
  serve(UserService, userMethods(parts));
  serve(ZITADELUsers, userMethods(parts));
  serve(SessionService, sessionMethods(parts));
  serve(SettingsService, settingsMethods(parts));
  serve(AccessService, accessMethods(parts));
  serve(EventService, eventMethods(parts));
  serve(AuthzService, authzMethods());
  serve(Authorization, envoyMethods(parts));
}
