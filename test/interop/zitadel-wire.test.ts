// Proves that requests and answers are the bytes of the published API.
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

/** Fields of the published messages that userlock's do not have. All are in responses: every request is read whole. */
const FIELDS_LEFT_OUT: Record<string, string[]> = {
  GetSchema: ["revision"],
  Authenticators: ["web_auth_n", "totps", "otp_sms", "otp_email", "authentication_keys", "identity_providers"],
};

/** userlock's own fields, which published clients pass over. */
const OWN_FIELDS: Record<string, string[]> = {
  LockUserRequest: ["reason", "note", "until", "duration"],
  GetUser: ["lock"],
  SearchFilter: ["lock_filter"],
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

/** Messages and enums that stand in the same place on the wire, found from the methods that both services have. */
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

/** All of the fields that the wire, binary or JSON, shows. */
const wiresOf = (fields: DescField[]) => fields.map(wireOf).sort((a, b) => a.number - b.number);

function wireOf(field: DescField) {
  const { number, name, jsonName, fieldKind, scalar, presence, oneof } = field;
  const kind = fieldKind === "list" ? `list of ${field.listKind}` : fieldKind;
  const type = field.message ?? field.enum;
  // Oneofs have no name on the wire; which fields share one is what counts.
  const siblings = oneof?.fields.map((sibling) => sibling.number).filter((other) => other < OWN_FROM);
  return { number, name, jsonName, kind, scalar, type: type?.name, presence, siblings };
}

test("the published methods are served, except those that are left out", () => {
  const served = Published.methods.map(({ name }) => name).filter((name) => !METHODS_LEFT_OUT.includes(name));
  expect(ZITADELUsers.methods.map(({ name }) => name).sort()).toEqual([...served].sort());
  expect(Published.methods.map(({ name }) => name)).toEqual(expect.arrayContaining(METHODS_LEFT_OUT));
  expect(ZITADELUsers.typeName).toBe(Published.typeName);
});

test.each(ZITADELUsers.methods)("$name is called the same way under both names", (method) => {
  const published = Published.methods.find(({ name }) => name === method.name);
  const own = UserService.methods.find(({ name }) => name === method.name);
  expect(method.methodKind).toBe(published?.methodKind);
  expect([method.input, method.output]).toEqual([own?.input, own?.output]);
});

const PAIRS = pairs();

test.each(PAIRS)("$name is the same on the wire", ({ name, published, ours }) => {
  if (published.kind === "enum" || ours.kind === "enum") {
    const valuesOf = (desc: Desc) => (desc as DescEnum).values.map(({ number, name }) => ({ number, name }));
    // Values of our own begin at 100, as fields do.
    expect(valuesOf(ours).filter(({ number }) => number < 100)).toEqual(valuesOf(published));
    return;
  }
  const leftOut = FIELDS_LEFT_OUT[name] ?? [];
  const kept = published.fields.filter((field) => !leftOut.includes(field.name));
  expect(wiresOf(ours.fields.filter(({ number }) => number < OWN_FROM))).toEqual(wiresOf(kept));
  expect(ours.fields.filter(({ number }) => number >= OWN_FROM).map((field) => field.name)).toEqual(
    OWN_FIELDS[name] ?? [],
  );
  // What is left out is there to be left out, and its number is not used for something else.
  const numbers = leftOut.map((name) => published.fields.find((field) => field.name === name)?.number);
  expect(numbers).not.toContain(undefined);
  expect(ours.fields.filter(({ number }) => numbers.includes(number))).toEqual([]);
});

test("the lists name messages that were compared", () => {
  const names = PAIRS.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining([...Object.keys(FIELDS_LEFT_OUT), ...Object.keys(OWN_FIELDS)]));
});
