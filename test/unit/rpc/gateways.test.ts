// Proves that tokens are found in any request, that any text is safe in a header, and that Envoy's Check fails closed.
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  type Authorization,
  CheckRequestSchema,
  CheckResponseSchema,
} from "../../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import type { Authenticate } from "../../../src/auth/authenticate.ts";
import type { Principal } from "../../../src/domain/access.ts";
import { DomainError, type Reason } from "../../../src/domain/errors.ts";
import { cookiesOf, headerValue, tokenOf } from "../../../src/rpc/gateways.ts";
import type { EnteredCaller, Handler } from "../../../src/rpc/handler.ts";
import { envoyMethods } from "../../../src/rpc/services/authz.ts";

const NAME = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}$/);
const VALUE = fc.stringMatching(/^[!#-+\--:<-[\]-~]{0,20}$/);

test("the values of each cookie are found in their order, and those of no other", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(NAME, VALUE), { maxLength: 8 }), NAME, (cookies, other) => {
      const header = cookies.map(([name, value]) => `${name}=${value}`).join("; ");
      for (const name of [...cookies.map(([own]) => own), other]) {
        const own = cookies.filter(([one]) => one === name).map(([, value]) => value);
        expect(cookiesOf(header, name)).toEqual(own);
      }
    }),
  );
});

test("no header breaks the search for a token", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (authorization, cookies, name) => {
      try {
        expect(tokenOf({ authorization, cookies }, name) ?? "a").toMatch(/^[A-Za-z0-9._~+/-]+=*$/);
      } catch (error) {
        expect(error).toMatchObject({ reason: "TOKEN_INVALID" });
      }
    }),
  );
});

test("a header value is visible ASCII without separators, and gives the text back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const value = headerValue(text);
      expect(value).toMatch(/^[!#-+\--:<-[\]-~]*$/);
      expect(decodeURIComponent(value)).toBe(text.toWellFormed());
    }),
  );
});

test("the Bearer scheme is found in any case, and spaces around the token are no part of it", () => {
  const found = ["Bearer a", "bearer   a", "BEARER a  "].map((authorization) => tokenOf({ authorization }, undefined));
  expect(found).toEqual(["a", "a", "a"]);
});

describe("Check", () => {
  const gateway: Principal = { subject: "gateway", grants: [{ role: "GATEWAY" }] };

  /** Asks with a good token, or with one whose look-up fails for the reason. */
  async function check(contextExtensions: Record<string, string>, reason?: Reason) {
    const authenticate: Authenticate = async () => {
      if (reason) throw new DomainError(reason, "The look-up failed.");
      return { principal: { subject: "ada", grants: [] } };
    };
    const request = create(CheckRequestSchema, { attributes: { contextExtensions } });
    const caller = { principal: gateway, permission: "session.read" } as EnteredCaller;
    const ask = envoyMethods({ authenticate }).check as Handler<typeof Authorization.method.check>;
    return create(CheckResponseSchema, await ask(request, caller)).httpResponse.case;
  }

  test.each<[what: string, extensions: Record<string, string>]>([
    ["a misspelt organization", { organisation: "acme" }],
    ["an empty organization", { organization: "" }],
    ["an empty role", { role: "" }],
    ["an empty cookie", { cookie: "" }],
    ["reveal neither true nor false", { reveal: "yes" }],
  ])("refuses %s in the context extensions, which would let too many in", async (_what, extensions) => {
    await expect(check(extensions)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });

  test("admits with all context extensions that the bearer meets", async () => {
    await expect(check({ cookie: "sid", reveal: "false" })).resolves.toBe("okResponse");
  });

  test.each<Reason>(["STORE_UNAVAILABLE", "KEYS_UNAVAILABLE"])(
    "fails with %s as a call, so that Envoy neither admits nor logs users out",
    async (reason) => {
      await expect(check({}, reason)).rejects.toMatchObject({ reason, kind: "unavailable" });
    },
  );
});
