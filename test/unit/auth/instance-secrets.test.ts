import { createKeyed, KEY_BYTES } from "../../../src/auth/instance-secrets.ts";

const key = (byte: number) => new Uint8Array(KEY_BYTES).fill(byte);
const keyed = createKeyed(key(1));
const sameKey = createKeyed(key(1));
const otherKey = createKeyed(key(2));

describe("the keyed hash of a wrong password", () => {
  test("is the same for the same password of the same user under the same key, and no other", () => {
    const mac = keyed.mac("u", "p");
    expect(mac).toMatch(/^[\w-]{22}$/);
    expect(sameKey.mac("u", "p")).toBe(mac);
    const others = [
      keyed.mac("u", "q"),
      keyed.mac("v", "p"),
      otherKey.mac("u", "p"),
      keyed.mac("up", ""),
      keyed.mac("", "up"),
    ];
    expect(new Set([mac, ...others]).size).toBe(others.length + 1);
  });
});

describe("a device token", () => {
  const END = 1_764_000_000_000_000;
  const token = keyed.deviceToken("u", "phone", END);
  const [device, end, proof] = token.split(".") as [string, string, string];

  test("is known for its user, by every server with the key, until its end", () => {
    expect(keyed.deviceOf("u", token, END - 1)).toBe("phone");
    expect(sameKey.deviceOf("u", token, 0)).toBe("phone");
    expect(keyed.deviceOf("u", token, END)).toBeUndefined();
  });

  test("is for a device with an id of 128 random bits", () => {
    expect(keyed.newDevice()).toMatch(/^[\w-]{22}$/);
    expect(new Set(Array.from({ length: 100 }, () => keyed.newDevice())).size).toBe(100);
  });

  test.each<[what: string, userId: string, token: string, by: typeof keyed]>([
    ["another user", "v", token, keyed],
    ["a server with another key", "u", token, otherKey],
    ["another device's id", "u", `tablet.${end}.${proof}`, keyed],
    ["a later end", "u", `${device}.${(END + 1).toString(36)}.${proof}`, keyed],
    ["no end", "u", `${device}.${proof}`, keyed],
    ["an empty end", "u", `${device}..${proof}`, keyed],
    ["the id alone", "u", device, keyed],
    ["no proof", "u", `${device}.${end}.`, keyed],
    ["no id", "u", `.${end}.${proof}`, keyed],
    ["half of the proof", "u", `${device}.${end}.${proof.slice(0, 22)}`, keyed],
    [
      "a proof with a changed end",
      "u",
      `${device}.${end}.${proof.slice(0, -1)}${proof.endsWith("A") ? "E" : "A"}`,
      keyed,
    ],
    ["a proof that is longer", "u", `${token}A`, keyed],
    ["the keyed hash of a password in its place", "u", `${device}.${end}.${keyed.mac("u", device)}`, keyed],
    ["characters beyond ASCII, as many", "u", `${device}.${end}.${"ä".repeat(proof.length)}`, keyed],
    ["nothing", "u", "", keyed],
    ["dots", "u", "..", keyed],
  ])("is not known with %s", (_what, userId, presented, by) => {
    expect(by.deviceOf(userId, presented, 0)).toBeUndefined();
  });
});
