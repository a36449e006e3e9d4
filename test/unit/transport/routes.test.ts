// Proves that the REST routes of the contract match by path and verb.
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createRouter, type Route, routesOf } from "../../../src/transport/rest/routes.ts";

const services = [AccessService, EventService, SessionService, SettingsService, UserService];
const routes = services.flatMap(({ methods }) => methods.flatMap((method) => routesOf(method)));
const router = createRouter(routes);

/** A path of the route with "x" for each variable. */
const pathOf = ({ segments }: Route) =>
  segments.map((segment) => `/${"literal" in segment ? segment.literal : "x"}`).join("");

const paths = [...new Set(routes.map(pathOf))].map((path) => ({
  path,
  verbs: routes.filter((route) => pathOf(route) === path).map(({ verb }) => verb),
}));

describe.each(paths)("the REST path $path", ({ path, verbs }) => {
  test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])(
    "matches %s only if a method is bound to it",
    (verb) => {
      const match = router.match(verb, path);
      if (verbs.includes(verb)) {
        expect("route" in match && pathOf(match.route)).toBe(path);
        expect("route" in match && match.route.verb).toBe(verb);
      } else expect("allowed" in match && match.allowed.sort()).toEqual([...verbs].sort());
    },
  );
});
