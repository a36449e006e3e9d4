/**
 * The network of an address: the first 24 bits of IPv4, such as "203.0.113.0/24", the first 64 bits of IPv6, such as
 * "2001:db8::/64". Homes and offices have one each, and an attacker changes addresses within it at will. Empty for
 * anything else.
 */
export function networkOf(address: string): string {
  const plain = address.replace(/%.*$/, "");
  return plain.includes(":") ? networkOfV6(plain) : networkOfV4(plain);
}

function networkOfV4(address: string): string {
  const octets = address.split(".");
  const isAddress = octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) < 256);
  return isAddress ? `${octets.slice(0, 3).map(Number).join(".")}.0/24` : "";
}

function networkOfV6(address: string): string {
  const canonical = canonicalV6(address);
  if (canonical === undefined) return "";
  const groups = groupsOf(canonical);
  // An IPv4 address as sockets for both families report it, ::ffff:0:0/96.
  if (groups.slice(0, 5).every((group) => group === "0") && groups[5] === "ffff") {
    const bytes = groups
      .slice(6)
      .flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
    return networkOfV4(bytes.join("."));
  }
  return `${canonicalV6(`${groups.slice(0, 4).join(":")}::`)}/64`;
}

/** The shortest form (RFC 5952), which the parser of URLs knows. */
function canonicalV6(address: string): string | undefined {
  const url = `http://[${address}]/`;
  return /^[\da-f:.]+$/i.test(address) && URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
}

/** The eight groups of a canonical address. */
function groupsOf(canonical: string): string[] {
  const [head = "", tail] = canonical.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  return [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
}
