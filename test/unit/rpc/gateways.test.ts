// Proves that tokens are found in any request, and that any text is safe in a header.
import fc from "fast-check";
import { cookieOf, headerValue, tokenOf } from "../../../src/rpc/gateways.ts";

const NAME = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}$/);
const VALUE = fc.stringMatching(/^[!#-+\--:<-[\]-~]{0,20}$/);

test("the value of each cookie is found, and that of no other", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(NAME, VALUE), { maxLength: 8 }), NAME, (cookies, other) => {
      const header = cookies.map(([name, value]) => `${name}=${value}`).join("; ");
      for (const name of [...cookies.map(([own]) => own), other]) {
        const first = cookies.find(([own]) => own === name)?.[1];
        expect(cookieOf(header, name)).toBe(first);
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
