// Proves that docs/api.md names every method, error, event type, filter and text method of the contract, and no other.
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { ZITADELUsers as Published } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_service_pb.js";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import {
  FieldNameSchema,
  SearchFilterSchema,
  TextFilterMethodSchema,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { DomainError, REASONS, type Reason } from "../../../src/domain/errors.ts";
import { EVENT_TYPES } from "../../../src/domain/event-types.ts";
import { rpcErrorOf } from "../../../src/rpc/errors.ts";
import { statusAnswer } from "../../../src/transport/http/status.ts";
import { DOCUMENTATION, rows } from "../../support/docs.ts";

const SERVICES = [UserService, SessionService, SettingsService, AccessService, EventService, AuthzService];

test("the methods have the routes and permissions of the contract", () => {
  const expected = SERVICES.flatMap((service) =>
    service.methods.map((method: DescMethod) => {
      const { pattern } = getOption(method, http);
      const path = String(pattern.value).replace("/resources/v3alpha", "");
      const route = pattern.case ? `${pattern.case.toUpperCase()} ${path}` : "POST /oauth/v2/introspect";
      const { permission, proofInRequest, ownSession } = getOption(method, policy);
      const name = method.methodKind === "unary" ? method.name : `${method.name}, a stream`;
      return [name, route, permission, proofInRequest || ownSession];
    }),
  );
  const written = rows("Methods").filter(([name, route]) => name !== "method" && route?.includes("`"));
  expect(
    written.map(([name, route, permission]) => {
      const [first, ...more] = (permission as string).split(", or ");
      return [name, /`([^`]+)`/.exec(route as string)?.[1], first, more.length > 0];
    }),
  ).toEqual(expected);
});

test("the methods that take Connect's GET are those without side effects", () => {
  const expected = SERVICES.flatMap((service) =>
    service.methods.filter(({ idempotency }) => idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS),
  ).map(({ name }) => name);
  const [, sentence] = /^([A-Za-z, ]+) also take Connect's GET\.$/m.exec(DOCUMENTATION) ?? [];
  expect(sentence?.match(/[A-Z]\w+/g)).toEqual(expected);
});

test("the published methods are listed with those that are served", () => {
  const served = ZITADELUsers.methods.map(({ name }) => name);
  const expected = Published.methods.map(({ name }) => [name, served.includes(name) ? "yes" : "no"]);
  expect(
    rows("ZITADEL's methods")
      .slice(1)
      .map(([name, isServed]) => [name, isServed]),
  ).toEqual(expected);
  expect(DOCUMENTATION).toContain(`published service has ${Published.methods.length}`);
  expect(DOCUMENTATION).toContain(`userlock serves ${served.length} of them`);
});

test("the errors are every reason with its code and its HTTP status", () => {
  const expected = Object.entries(REASONS).map(([reason, kind]) => {
    const { status } = statusAnswer(rpcErrorOf(new DomainError(reason as Reason, "")));
    return [reason, kind.toUpperCase(), String(status)];
  });
  expect(
    rows("Errors")
      .slice(1)
      .map((cells) => cells.slice(0, 3)),
  ).toEqual(expected);
});

test("the event types are those that the log can have", () => {
  const expected = EVENT_TYPES.map((type) => [`\`${type}\``, type.split(".")[0]]);
  expect(
    rows("Event types")
      .slice(1)
      .map(([type, object]) => [type, object]),
  ).toEqual(expected);
});

test("the filters are those of the contract with their fields", () => {
  const expected = SearchFilterSchema.fields.map(({ jsonName, message }) => [
    `\`${jsonName}\``,
    message?.fields.map((field) => `\`${field.jsonName}\``).join(", "),
  ]);
  expect(
    rows("Filters")
      .slice(1)
      .map(([filter, fields]) => [filter, fields]),
  ).toEqual(expected);
});

test("the text methods are those of the contract", () => {
  const expected = TextFilterMethodSchema.values.map(({ name, number }) => [`\`${name}\``, String(number)]);
  expect(
    rows("Text methods")
      .slice(1)
      .map(([method, number]) => [method, number]),
  ).toEqual(expected);
});

test("the sorting columns are those of the contract", () => {
  const expected = FieldNameSchema.values.map(({ name }) => `\`${name}\``);
  expect(
    rows("Sorting")
      .slice(1)
      .map(([column]) => column),
  ).toEqual(expected);
});
