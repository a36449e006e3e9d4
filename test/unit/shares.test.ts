import { holderOf } from "../../src/rpc/shares.ts";

test.each([
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.1", "127.0.0.2", false],
  ["::ffff:192.0.2.1", "192.0.2.1", true],
  ["2001:db8::1", "2001:db8::2:3", true],
  ["2001:db8:0:0:1:2:3:4", "2001:db8::9", true],
  ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
  ["fe80::1%eth0", "fe80::2%eth1", true],
  ["::1", "::2", true],
  ["::1", "2001::1", false],
])("%s and %s are one holder: %s", (one, other, isSame) => {
  expect(holderOf(one) === holderOf(other)).toBe(isSame);
});
