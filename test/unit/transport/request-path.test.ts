// Proves that request targets are split into path and query, and invalid ones are refused.
import fc from "fast-check";
import { createPathOf } from "../../../src/transport/http/request-path.ts";

const read = (target: string, authority: string | undefined = "localhost:8080") =>
  createPathOf()({ target, authority, scheme: "http" });

describe("the path of a request", () => {
  test.each<[target: string, path: string, query?: string]>([
    ["/healthz", "/healthz"],
    ["/userlock.v3alpha.UserService/LockUser", "/userlock.v3alpha.UserService/LockUser"],
    ["/users?query=a%20b&desc=true", "/users", "query=a%20b&desc=true"],
    ["/x/../healthz", "/healthz"],
    ["/x/%2e%2e/healthz", "/healthz"],
    ["/Get%55ser", "/Get%55ser"],
    // Never a host: proxies treat such a target as a path too.
    ["//x/healthz", "//x/healthz"],
    ["//a:b:c/", "//a:b:c/"],
    ["///healthz", "///healthz"],
    // Browsers do not escape a backslash in a query.
    ["/users?query=a\\b", "/users", "query=a\\b"],
    // Absolute form (RFC 9112, section 3.2.2).
    ["http://elsewhere/healthz?x", "/healthz", "x"],
    ["http://elsewhere//x/healthz", "//x/healthz"],
  ])("for the target %s is %s", (target, path, query = "") => {
    expect(read(target)).toMatchObject({ path, query });
  });

  test.each(["/ä", "/users?actor=ä", "/users?actor=p\u00c3\u00a4ss", "/a b", "/users?a\u0000", "/users\u007f"])(
    "is refused for the target %j, because characters outside the URL alphabet must be escaped",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["/\\x/healthz", "/x\\..\\healthz", "/healthz\\", "\\\\x/healthz", "http:\\\\x/healthz", "http://[/"])(
    "is refused for the malformed target %s",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["foo:toString", "foo:/healthz", "ftp://x/healthz", "mailto:a@b", "data:,x", "healthz", "?x", "", "**"])(
    "is refused for the target '%s', because it does not begin with a path",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["", "a b", "[", "a:b:c", "localhost/x", "localhost?x", "localhost#x", "me@localhost", "x\\y", undefined])(
    "is refused for the authority %s",
    (authority) => {
      expect(createPathOf()({ target: "/healthz", authority, scheme: "http" })).toBeUndefined();
    },
  );

  test("does not depend on earlier requests", () => {
    const pathOf = createPathOf();
    const get = (target: string, authority: string) => pathOf({ target, authority, scheme: "http" })?.href;
    expect(get("/healthz", "a")).toBe("http://a/healthz");
    expect(get("/healthz", "a b")).toBeUndefined();
    expect(get("/healthz", "b")).toBe("http://b/healthz");
    expect(get("/users?x", "a")).toBe("http://a/users?x");
  });

  test("never loses its first segments", () => {
    const text = fc.stringMatching(/^[\w:@./%-]{0,20}$/).filter((rest) => !/(^|\/)(\.|%2e){1,2}(\/|$)/i.test(rest));
    fc.assert(
      fc.property(text, (rest) => {
        expect(read(`/${rest}`)?.path).toBe(`/${rest}`);
      }),
    );
  });
});
