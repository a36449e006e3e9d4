// Proves that roles give their permissions within their scope only, and that refusals leak nothing.
import {
  authorise,
  type Grant,
  holds,
  isGrantable,
  isRole,
  may,
  missing,
  type Owner,
  PERMISSIONS,
  type Permission,
  type Principal,
  ROLES,
  type Role,
  reach,
} from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";

const INSTANCE: Owner = { type: "instance", id: "default" };
const SYSTEM: Owner = { type: "system", id: "system" };
const org = (id: string): Owner => ({ type: "org", id });

const caller = (...grants: Grant[]): Principal => ({ subject: "caller", grants });

const EVERY_ROLE = Object.keys(ROLES) as Role[];

/** The table of roles: where each can be granted, and what it permits there. */
const TABLE: { role: Role; on: ("instance" | "organization")[]; permits: Permission[] }[] = [
  {
    role: "INSTANCE_OWNER",
    on: ["instance"],
    permits: [
      "user.read",
      "user.write",
      "user.delete",
      "settings.write",
      "event.read",
      "session.read",
      "session.write",
      "access.write",
    ],
  },
  { role: "INSTANCE_VIEWER", on: ["instance"], permits: ["user.read", "event.read"] },
  {
    role: "ORG_OWNER",
    on: ["organization"],
    permits: ["user.read", "user.write", "user.delete", "settings.write", "event.read"],
  },
  { role: "ORG_USER_MANAGER", on: ["organization"], permits: ["user.read", "user.write", "event.read"] },
  { role: "ORG_VIEWER", on: ["organization"], permits: ["user.read"] },
  { role: "LOGIN_CLIENT", on: ["instance", "organization"], permits: ["session.read", "session.write"] },
  { role: "GATEWAY", on: ["instance", "organization"], permits: ["session.read", "event.read"] },
];

/** All permissions of the principal, as `permission on owner`. */
function everythingThat(principal: Principal): string[] {
  return [INSTANCE, org("a"), org("b"), SYSTEM].flatMap((owner) =>
    PERMISSIONS.filter((permission) => may(principal, permission, owner)).map(
      (permission) => `${permission} on ${owner.type} ${owner.id}`,
    ),
  );
}

const on = (owners: string[], permissions: Permission[]) =>
  owners.flatMap((owner) =>
    PERMISSIONS.filter((permission) => permissions.includes(permission)).map((name) => `${name} on ${owner}`),
  );

test("the table of this test has every role", () => {
  expect(TABLE.map(({ role }) => role).sort()).toEqual(EVERY_ROLE.sort());
});

describe.each(TABLE)("the role $role", ({ role, on: places, permits }) => {
  const onInstance = places.includes("instance");
  const onOrganization = places.includes("organization");

  test("can be granted in its own scope only", () => {
    expect(isGrantable({ role })).toBe(onInstance);
    expect(isGrantable({ role, organization: "a" })).toBe(onOrganization);
  });

  test("granted on the instance covers the instance and every organization, and never the system", () => {
    const expected = onInstance ? on(["instance default", "org a", "org b"], permits) : [];
    expect(everythingThat(caller({ role }))).toEqual(expected);
  });

  test("granted on an organization covers only that organization", () => {
    const expected = onOrganization ? on(["org a"], permits) : [];
    expect(everythingThat(caller({ role, organization: "a" }))).toEqual(expected);
  });

  test("holds its own permissions in its scope, and no others", () => {
    for (const permission of PERMISSIONS) {
      expect(holds(caller({ role }), permission)).toBe(onInstance && permits.includes(permission));
      expect(holds(caller({ role, organization: "a" }), permission)).toBe(
        onOrganization && permits.includes(permission),
      );
    }
  });
});

describe("several grants", () => {
  test("add up, each in its own scope", () => {
    const principal = caller(
      { role: "ORG_VIEWER", organization: "a" },
      { role: "ORG_USER_MANAGER", organization: "b" },
    );
    expect(everythingThat(principal)).toEqual([
      "user.read on org a",
      "user.read on org b",
      "user.write on org b",
      "event.read on org b",
    ]);
    expect(reach(principal, "user.read")).toEqual({ instance: false, organizations: ["a", "b"] });
    expect(reach(principal, "user.write")).toEqual({ instance: false, organizations: ["b"] });
    expect(reach(principal, "access.write")).toEqual({ instance: false, organizations: [] });
  });

  test("a grant outside the role's scope adds nothing", () => {
    const principal = caller({ role: "INSTANCE_OWNER", organization: "a" }, { role: "ORG_OWNER" });
    expect(everythingThat(principal)).toEqual([]);
  });

  test("a caller without grants has no permission", () => {
    expect(everythingThat(caller())).toEqual([]);
  });

  test("an organization with the instance's id is not the instance", () => {
    expect(may(caller({ role: "ORG_OWNER", organization: INSTANCE.id }), "user.read", INSTANCE)).toBe(false);
  });
});

test.each([
  ["INSTANCE_OWNER", true],
  ["instance_owner", false],
  ["", false],
  ["constructor", false],
  ["__proto__", false],
])("%p is a role: %p", (name, expected) => {
  expect(isRole(name)).toBe(expected);
});

test("the error for a missing permission names it", () => {
  expect(missing("user.write")).toMatchObject({
    reason: "PERMISSION_MISSING",
    kind: "permission_denied",
    metadata: { permission: "user.write" },
  });
});

const OPERATOR: Grant[] = [{ role: "INSTANCE_OWNER" }];
const READER: Grant[] = [{ role: "INSTANCE_VIEWER" }];
const MANAGER_OF_A: Grant[] = [{ role: "ORG_USER_MANAGER", organization: "a" }];
const VIEWER_OF_A: Grant[] = [{ role: "ORG_VIEWER", organization: "a" }];
const VIEWER_OF_A_MANAGER_OF_B: Grant[] = [...VIEWER_OF_A, { role: "ORG_USER_MANAGER", organization: "b" }];
const GATEWAY: Grant[] = [{ role: "GATEWAY" }];

/** Who asks for user.write, where they expect the user, who owns the user (absent: unknown user), and the answer. */
const ORDER: { name: string; grants: Grant[]; expects?: string; owner?: Owner; expected: string }[] = [
  { name: "an operator and a user of the instance", grants: OPERATOR, owner: INSTANCE, expected: "allowed" },
  { name: "an operator and a user of an organization", grants: OPERATOR, owner: org("a"), expected: "allowed" },
  {
    name: "an operator and a user in the expected organization",
    grants: OPERATOR,
    expects: "a",
    owner: org("a"),
    expected: "allowed",
  },
  {
    name: "an operator and a user outside the expected organization",
    grants: OPERATOR,
    expects: "b",
    owner: org("a"),
    expected: "USER_NOT_FOUND",
  },
  {
    name: "an operator and a user of the instance, expected in an organization",
    grants: OPERATOR,
    expects: "default",
    owner: INSTANCE,
    expected: "USER_NOT_FOUND",
  },
  { name: "an operator and an unknown user", grants: OPERATOR, expected: "USER_NOT_FOUND" },
  {
    name: "an operator and an unknown user, expected in an organization",
    grants: OPERATOR,
    expects: "a",
    expected: "USER_NOT_FOUND",
  },
  { name: "an operator and a user of the system", grants: OPERATOR, owner: SYSTEM, expected: "USER_NOT_FOUND" },
  {
    name: "a manager and a user of the manager's organization",
    grants: MANAGER_OF_A,
    owner: org("a"),
    expected: "allowed",
  },
  {
    name: "a manager and a user of the manager's organization, expected there",
    grants: MANAGER_OF_A,
    expects: "a",
    owner: org("a"),
    expected: "allowed",
  },
  {
    name: "a manager and a user of another organization",
    grants: MANAGER_OF_A,
    owner: org("b"),
    expected: "USER_NOT_FOUND",
  },
  { name: "a manager and a user of the instance", grants: MANAGER_OF_A, owner: INSTANCE, expected: "USER_NOT_FOUND" },
  { name: "a manager and an unknown user", grants: MANAGER_OF_A, expected: "USER_NOT_FOUND" },
  {
    name: "a manager and another organization's user, expected in the manager's",
    grants: MANAGER_OF_A,
    expects: "a",
    owner: org("b"),
    expected: "USER_NOT_FOUND",
  },
  {
    name: "a manager and another organization's user, expected there",
    grants: MANAGER_OF_A,
    expects: "b",
    owner: org("b"),
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a manager and a user of the manager's organization, expected in another",
    grants: MANAGER_OF_A,
    expects: "b",
    owner: org("a"),
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a manager and an unknown user, expected in another organization",
    grants: MANAGER_OF_A,
    expects: "b",
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a reader and a user that the reader may read",
    grants: READER,
    owner: INSTANCE,
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a reader and a user in the expected organization",
    grants: READER,
    expects: "a",
    owner: org("a"),
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a reader and a user outside the expected organization",
    grants: READER,
    expects: "b",
    owner: org("a"),
    expected: "USER_NOT_FOUND",
  },
  { name: "a reader and an unknown user", grants: READER, expected: "USER_NOT_FOUND" },
  { name: "a reader and a user of the system", grants: READER, owner: SYSTEM, expected: "USER_NOT_FOUND" },
  {
    name: "a viewer of a and manager of b, and a user of a",
    grants: VIEWER_OF_A_MANAGER_OF_B,
    owner: org("a"),
    expected: "PERMISSION_MISSING",
  },
  {
    name: "a viewer of a and manager of b, and a user of b",
    grants: VIEWER_OF_A_MANAGER_OF_B,
    owner: org("b"),
    expected: "allowed",
  },
  {
    name: "a viewer of a and manager of b, and an unknown user, expected in a",
    grants: VIEWER_OF_A_MANAGER_OF_B,
    expects: "a",
    expected: "USER_NOT_FOUND",
  },
  {
    name: "a gateway, which may read no user, and a user",
    grants: GATEWAY,
    owner: INSTANCE,
    expected: "USER_NOT_FOUND",
  },
  {
    name: "a gateway, which may read no user, and a user in the expected organization",
    grants: GATEWAY,
    expects: "a",
    owner: org("a"),
    expected: "PERMISSION_MISSING",
  },
];

describe("authorise", () => {
  test.each(ORDER)("answers $expected for $name", ({ grants, expects, owner, expected }) => {
    const wanted = { permission: "user.write", toSee: "user.read", organization: expects } as const;
    const answer = () => {
      try {
        authorise(caller(...grants), { ...wanted, notFound: "USER_NOT_FOUND" }, owner && { owner });
        return "allowed";
      } catch (error) {
        return error instanceof DomainError ? error.reason : error;
      }
    };
    expect(answer()).toBe(expected);
  });

  test("answers with the not-found reason of the object's kind", () => {
    const wanted = { permission: "access.write", toSee: "access.write", notFound: "TOKEN_NOT_FOUND" } as const;
    expect(() => authorise(caller(...OPERATOR), wanted, undefined)).toThrow(
      expect.objectContaining({ reason: "TOKEN_NOT_FOUND" }),
    );
  });
});
