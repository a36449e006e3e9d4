// Proves that derived secrets depend on the key of the instance.
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";

const key = (byte: number) => new Uint8Array(32).fill(byte);
const secrets = createInstanceSecrets(key(1));
const sameKey = createInstanceSecrets(key(1));
const otherKey = createInstanceSecrets(key(2));

describe("the keyed hash of a wrong password", () => {
  test("depends on the password, the user and the key, and on nothing else", () => {
    const mac = secrets.mac("u", "p");
    expect(mac).toMatch(/^[\w-]{22}$/);
    expect(sameKey.mac("u", "p")).toBe(mac);
    const others = [
      secrets.mac("u", "q"),
      secrets.mac("v", "p"),
      otherKey.mac("u", "p"),
      secrets.mac("up", ""),
      secrets.mac("", "up"),
    ];
    expect(new Set([mac, ...others]).size).toBe(others.length + 1);
  });
});

describe("a device token", () => {
  const END = 1_764_000_000_000_000;
  const token = secrets.deviceToken("u", "phone", END);
  const [device, end, proof] = token.split(".") as [string, string, string];

  test("is accepted for its user, by every server with the same key, until it expires", () => {
    expect(secrets.deviceOf("u", token, END - 1)).toBe("phone");
    expect(sameKey.deviceOf("u", token, 0)).toBe("phone");
    expect(secrets.deviceOf("u", token, END)).toBeUndefined();
  });

  test("belongs to a device whose id has 128 random bits", () => {
    expect(secrets.newDevice()).toMatch(/^[\w-]{22}$/);
    expect(new Set(Array.from({ length: 100 }, () => secrets.newDevice())).size).toBe(100);
  });

  test.each<[what: string, userId: string, token: string, by: typeof secrets]>([
    ["another user", "v", token, secrets],
    ["a server with another key", "u", token, otherKey],
    ["another device's id", "u", `tablet.${end}.${proof}`, secrets],
    ["a later end", "u", `${device}.${(END + 1).toString(36)}.${proof}`, secrets],
    ["no end", "u", `${device}.${proof}`, secrets],
    ["an empty end", "u", `${device}..${proof}`, secrets],
    ["only the id", "u", device, secrets],
    ["no proof", "u", `${device}.${end}.`, secrets],
    ["no id", "u", `.${end}.${proof}`, secrets],
    ["half of the proof", "u", `${device}.${end}.${proof.slice(0, 22)}`, secrets],
    [
      "a proof with a changed end",
      "u",
      `${device}.${end}.${proof.slice(0, -1)}${proof.endsWith("A") ? "E" : "A"}`,
      secrets,
    ],
    ["a longer proof", "u", `${token}A`, secrets],
    ["a password's keyed hash as the proof", "u", `${device}.${end}.${secrets.mac("u", device)}`, secrets],
    ["a non-ASCII proof of the same length", "u", `${device}.${end}.${"ä".repeat(proof.length)}`, secrets],
    ["an empty token", "u", "", secrets],
    ["only dots", "u", "..", secrets],
  ])("is rejected with %s", (_what, userId, presented, by) => {
    expect(by.deviceOf(userId, presented, 0)).toBeUndefined();
  });
});
