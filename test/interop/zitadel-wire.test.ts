// Proves that messages are the same on the wire as those of the published API.
import type { DescEnum, DescField, DescMessage } from "@bufbuild/protobuf";
import { ZITADELUsers as Published } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_service_pb.js";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";

/** Methods of the published service that userlock does not serve. */
const METHODS_LEFT_OUT = [
  "SetContactEmail",
  "VerifyContactEmail",
  "ResendContactEmailCode",
  "SetContactPhone",
  "VerifyContactPhone",
  "ResendContactPhoneCode",
  "RequestPasswordReset",
  "StartWebAuthNRegistration",
  "VerifyWebAuthNRegistration",
  "CreateWebAuthNRegistrationLink",
  "RemoveWebAuthNAuthenticator",
  "StartTOTPRegistration",
  "VerifyTOTPRegistration",
  "RemoveTOTPAuthenticator",
  "AddOTPSMSAuthenticator",
  "VerifyOTPSMSRegistration",
  "RemoveOTPSMSAuthenticator",
  "AddOTPEmailAuthenticator",
  "VerifyOTPEmailRegistration",
  "RemoveOTPEmailAuthenticator",
  "StartIdentityProviderIntent",
  "GetIdentityProviderIntent",
  "AddIDPAuthenticator",
  "RemoveIDPAuthenticator",
];

/** Published fields that userlock lacks. All are in responses, so requests lose nothing. */
const FIELDS_LEFT_OUT: Record<string, string[]> = {
  GetSchema: ["revision"],
  Authenticators: ["web_auth_n", "totps", "otp_sms", "otp_email", "authentication_keys", "identity_providers"],
};

/** userlock's own fields, which published clients ignore. */
const OWN_FIELDS: Record<string, string[]> = {
  LockUserRequest: ["reason", "note", "until", "duration", "replace"],
  GetUser: ["lock", "lifecycle"],
  SearchFilter: ["lock_filter", "text_filter"],
  SearchUsersRequest: ["cursor", "skip_total"],
  SearchUsersResponse: ["next_cursor"],
  CreateUser: ["schema_type"],
  PatchUser: ["schema_type"],
};
const OWN_FROM = 100;

type Desc = DescMessage | DescEnum;
interface Pair {
  name: string;
  published: Desc;
  ours: Desc;
}

/** The published and own messages and enums at the same places of the methods that both services have. */
function pairs(): Pair[] {
  const found = new Map<string, Pair>();
  const visit = (published: Desc, ours: Desc) => {
    const key = `${published.typeName} ${ours.typeName}`;
    if (found.has(key) || published.typeName === ours.typeName) return;
    found.set(key, { name: ours.name, published, ours });
    if (published.kind !== "message" || ours.kind !== "message") return;
    for (const field of published.fields) {
      const other = ours.fields.find(({ number }) => number === field.number);
      if (field.message && other?.message) visit(field.message, other.message);
      if (field.enum && other?.enum) visit(field.enum, other.enum);
    }
  };
  for (const method of ZITADELUsers.methods) {
    const published = Published.methods.find(({ name }) => name === method.name);
    if (!published) throw new Error(`the published service has no ${method.name}`);
    visit(published.input, method.input);
    visit(published.output, method.output);
  }
  return [...found.values()];
}

/** The properties of fields that are visible on the wire, in binary or JSON. */
const wiresOf = (fields: DescField[]) => fields.map(wireOf).sort((a, b) => a.number - b.number);

function wireOf(field: DescField) {
  const { number, name, jsonName, fieldKind, scalar, presence, oneof } = field;
  const kind = fieldKind === "list" ? `list of ${field.listKind}` : fieldKind;
  const type = field.message ?? field.enum;
  // Oneofs have no name on the wire. Only the set of their fields counts.
  const siblings = oneof?.fields.map((sibling) => sibling.number).filter((other) => other < OWN_FROM);
  return { number, name, jsonName, kind, scalar, type: type?.name, presence, siblings };
}

test("every published method is served or is in METHODS_LEFT_OUT", () => {
  const served = Published.methods.map(({ name }) => name).filter((name) => !METHODS_LEFT_OUT.includes(name));
  expect(ZITADELUsers.methods.map(({ name }) => name).sort()).toEqual([...served].sort());
  expect(Published.methods.map(({ name }) => name)).toEqual(expect.arrayContaining(METHODS_LEFT_OUT));
  expect(ZITADELUsers.typeName).toBe(Published.typeName);
});

test.each(ZITADELUsers.methods)("$name has the same messages in UserService and ZITADELUsers", (method) => {
  const published = Published.methods.find(({ name }) => name === method.name);
  const own = UserService.methods.find(({ name }) => name === method.name);
  expect(method.methodKind).toBe(published?.methodKind);
  expect([method.input, method.output]).toEqual([own?.input, own?.output]);
});

const PAIRS = pairs();

test.each(PAIRS)("$name is the same on the wire as the published one", ({ name, published, ours }) => {
  if (published.kind === "enum" || ours.kind === "enum") {
    const valuesOf = (desc: Desc) => (desc as DescEnum).values.map(({ number, name }) => ({ number, name }));
    // Own values start at 100, like own fields.
    expect(valuesOf(ours).filter(({ number }) => number < 100)).toEqual(valuesOf(published));
    return;
  }
  const leftOut = FIELDS_LEFT_OUT[name] ?? [];
  const kept = published.fields.filter((field) => !leftOut.includes(field.name));
  expect(wiresOf(ours.fields.filter(({ number }) => number < OWN_FROM))).toEqual(wiresOf(kept));
  expect(ours.fields.filter(({ number }) => number >= OWN_FROM).map((field) => field.name)).toEqual(
    OWN_FIELDS[name] ?? [],
  );
  // Each left-out field exists in the published message, and its number is unused here.
  const numbers = leftOut.map((name) => published.fields.find((field) => field.name === name)?.number);
  expect(numbers).not.toContain(undefined);
  expect(ours.fields.filter(({ number }) => numbers.includes(number))).toEqual([]);
});

test("the lists of left-out and own fields name compared messages", () => {
  const names = PAIRS.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining([...Object.keys(FIELDS_LEFT_OUT), ...Object.keys(OWN_FIELDS)]));
});
