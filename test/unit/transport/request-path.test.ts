// Proves that paths are split and decoded once.
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
    // Never a host: what a proxy takes for a path is one here.
    ["//x/healthz", "//x/healthz"],
    ["//a:b:c/", "//a:b:c/"],
    ["///healthz", "///healthz"],
    // A browser leaves it in a query as it is.
    ["/users?query=a\\b", "/users", "query=a\\b"],
    // Absolute-form.
    ["http://elsewhere/healthz?x", "/healthz", "x"],
    ["http://elsewhere//x/healthz", "//x/healthz"],
  ])("%s is %s", (target, path, query = "") => {
    expect(read(target)).toMatchObject({ path, query });
  });

  test.each(["/ä", "/users?actor=ä", "/users?actor=p\u00c3\u00a4ss", "/a b", "/users?a\u0000", "/users\u007f"])(
    "%j is none: other characters than those of a URL must be in escapes",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["/\\x/healthz", "/x\\..\\healthz", "/healthz\\", "\\\\x/healthz", "http:\\\\x/healthz", "http://[/"])(
    "%s is none",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["foo:toString", "foo:/healthz", "ftp://x/healthz", "mailto:a@b", "data:,x", "healthz", "?x", "", "**"])(
    "'%s' is refused, because it begins with no path",
    (target) => {
      expect(read(target)).toBeUndefined();
    },
  );

  test.each(["", "a b", "[", "a:b:c", "localhost/x", "localhost?x", "localhost#x", "me@localhost", "x\\y", undefined])(
    "of the authority %s is none",
    (authority) => {
      expect(createPathOf()({ target: "/healthz", authority, scheme: "http" })).toBeUndefined();
    },
  );

  test("does not depend on what was asked before", () => {
    const pathOf = createPathOf();
    const get = (target: string, authority: string) => pathOf({ target, authority, scheme: "http" })?.href;
    expect(get("/healthz", "a")).toBe("http://a/healthz");
    expect(get("/healthz", "a b")).toBeUndefined();
    expect(get("/healthz", "b")).toBe("http://b/healthz");
    expect(get("/users?x", "a")).toBe("http://a/users?x");
  });

  test("never begins behind the first segment of what was sent", () => {
    const text = fc.stringMatching(/^[\w:@./%-]{0,20}$/).filter((rest) => !/(^|\/)(\.|%2e){1,2}(\/|$)/i.test(rest));
    fc.assert(
      fc.property(text, (rest) => {
        expect(read(`/${rest}`)?.path).toBe(`/${rest}`);
      }),
    );
  });
});
