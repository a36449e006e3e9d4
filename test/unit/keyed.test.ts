import { createKeyed, KEY_BYTES } from "../../src/auth/keyed.ts";

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
  const token = keyed.newDeviceToken("u");
  const [device, proof] = token.split(".") as [string, string];

  test("is known for its user, by every server with the key", () => {
    expect(keyed.deviceOf("u", token)).toBe(device);
    expect(sameKey.deviceOf("u", token)).toBe(device);
  });

  test("has 128 random bits, so each is another device", () => {
    expect(device).toMatch(/^[\w-]{22}$/);
    expect(new Set(Array.from({ length: 100 }, () => keyed.newDeviceToken("u").split(".")[0])).size).toBe(100);
  });

  test.each<[what: string, userId: string, token: string, by: typeof keyed]>([
    ["another user", "v", token, keyed],
    ["a server with another key", "u", token, otherKey],
    ["another device's id", "u", `${keyed.newDeviceToken("u").split(".")[0]}.${proof}`, keyed],
    ["the id alone", "u", device, keyed],
    ["no proof", "u", `${device}.`, keyed],
    ["no id", "u", `.${proof}`, keyed],
    ["half of the proof", "u", `${device}.${proof.slice(0, 22)}`, keyed],
    ["a proof with a changed end", "u", `${device}.${proof.slice(0, -1)}${proof.endsWith("A") ? "E" : "A"}`, keyed],
    ["a proof that is longer", "u", `${device}.${proof}A`, keyed],
    ["the keyed hash of a password in its place", "u", `${device}.${keyed.mac("u", device)}`, keyed],
    ["characters beyond ASCII, as many", "u", `${device}.${"ä".repeat(proof.length)}`, keyed],
    ["nothing", "u", "", keyed],
    ["a dot", "u", ".", keyed],
  ])("is not known with %s", (_what, userId, presented, by) => {
    expect(by.deviceOf(userId, presented)).toBeUndefined();
  });
});
