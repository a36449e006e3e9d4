// Proves that files import only what their folder may import, and that files and folders stay small.
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize, relative } from "node:path";

/** The rule for ids: the only file of the domain that the command line may import. */
const IDENTIFIER = "domain/identifier.ts";

/** A room is a folder or file of src. Its list names the rooms that it may import. */
const ROOMS: Record<string, string[]> = {
  [IDENTIFIER]: [],
  "domain/": [IDENTIFIER],
  "store/query.ts": [],
  "store/port.ts": ["store/query.ts", "domain/"],
  "store/settings.ts": [],
  "store/open.ts": ["store/port.ts", "store/settings.ts", "store/sqlite/", "store/postgres/"],
  "store/sqlite/": ["store/", "store/port.ts", "store/query.ts", "store/settings.ts", "domain/"],
  "store/postgres/": ["store/", "store/port.ts", "store/query.ts", "store/settings.ts", "domain/"],
  "store/": ["store/port.ts", "store/query.ts", "domain/"],
  "app/follow/": ["app/", "retry.ts", "domain/", "store/port.ts", "store/query.ts"],
  "app/startup/": ["app/", "domain/", "store/port.ts", "store/query.ts"],
  "app/": ["domain/", "store/port.ts", "store/query.ts"],
  "auth/": ["domain/", "store/port.ts"],
  "rpc/services/": ["rpc/", "rpc/convert/", "app/", "app/follow/", "auth/", "domain/", "gen"],
  "rpc/convert/": ["app/", "domain/", "gen"],
  "rpc/observer.ts": ["rpc/", "domain/"],
  "rpc/": ["rpc/observer.ts", "rpc/convert/", "app/", "auth/", "domain/", "gen"],
  // It sees the work of others by the types of their ports.
  "observe/": ["rpc/observer.ts", "log.ts", "auth/", "app/", "app/follow/", "domain/", "store/port.ts", "gen"],
  "transport/http/": ["transport/", "rpc/", "gen"],
  "transport/connections/": ["transport/", "transport/http/", "rpc/"],
  "transport/streams/": ["transport/", "transport/http/", "rpc/", "gen"],
  "transport/grpc/": ["transport/", "transport/http/", "transport/streams/", "rpc/", "rpc/services/", "gen"],
  "transport/rest/": [
    "transport/",
    "transport/connections/",
    "transport/http/",
    "transport/streams/",
    "nearest.ts",
    "rpc/",
    "rpc/services/",
    "gen",
  ],
  "transport/console/": ["transport/", "transport/http/", "rpc/", "gen"],
  "transport/dispatch.ts": [
    "transport/console/",
    "transport/",
    "transport/http/",
    "transport/streams/",
    "transport/grpc/",
    "transport/rest/",
    "rpc/",
    "rpc/observer.ts",
    "gen",
  ],
  "transport/": ["nearest.ts", "rpc/", "gen"],
  // Bundled for browsers.
  "console/": ["gen"],
  "cli/frame/": ["duration.ts", "nearest.ts", "version.ts"],
  "cli/demo/": ["gen"],
  "cli/": ["cli/frame/", "cli/demo/", IDENTIFIER, "retry.ts", "gen"],
  "clock.ts": [],
  "duration.ts": [],
  "nearest.ts": [],
  "retry.ts": [],
  "version.ts": [],
  "ids.ts": [],
  "log.ts": ["gen"],
  "config/": ["auth/", IDENTIFIER, "duration.ts", "log.ts", "store/settings.ts"],
  "server.ts": [
    "app/",
    "app/follow/",
    "app/startup/",
    "auth/",
    "clock.ts",
    "config/",
    "domain/",
    "gen",
    "ids.ts",
    "log.ts",
    "observe/",
    "rpc/",
    "rpc/services/",
    "store/open.ts",
    "store/settings.ts",
    "transport/",
    "transport/connections/",
    "transport/dispatch.ts",
    "transport/grpc/",
    "transport/http/",
    "transport/rest/",
    "transport/streams/",
    "version.ts",
  ],
  "admin.ts": ["app/", "app/startup/", "auth/", "clock.ts", "config/", "domain/", "ids.ts", "store/open.ts"],
  "main.ts": ["admin.ts", "cli/", "cli/frame/", "config/", "log.ts", "server.ts", "transport/http/"],
};

/** Packages and modules that only some rooms may import. */
const OUTSIDE: { what: string; pattern: RegExp; allowed: string[] }[] = [
  { what: "jose", pattern: /^jose$/, allowed: ["auth/"] },
  { what: "openid-client", pattern: /^openid-client$/, allowed: ["transport/console/"] },
  { what: "the SQLite driver", pattern: /^node:sqlite$/, allowed: ["store/sqlite/"] },
  { what: "the PostgreSQL driver", pattern: /^pg$/, allowed: ["store/postgres/"] },
  {
    what: "the network",
    pattern: /^node:(http|https|http2|net|tls)$/,
    allowed: ["transport/"],
  },
  { what: "Connect", pattern: /^@connectrpc\//, allowed: ["transport/", "cli/", "console/"] },
  { what: "Preact", pattern: /^(preact|@preact\/.*)$/, allowed: ["console/"] },
  { what: "OpenTelemetry", pattern: /^@opentelemetry\//, allowed: ["observe/"] },
  { what: "prom-client", pattern: /^prom-client$/, allowed: ["observe/"] },
  { what: "grpc-js", pattern: /^@grpc\//, allowed: ["cli/"] },
];

interface Import {
  file: string;
  specifier: string;
}

const SRC = "src";
const CLIENT = "packages/client/src/";
const IMPORT = /(?:(?:^|\n)(?:import|export)\s[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\))/g;
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));
const imports = files.flatMap((file): Import[] =>
  [...readFileSync(join(SRC, file), "utf8").matchAll(IMPORT)].map(([, specifier, later]) => ({
    file,
    specifier: (specifier ?? later) as string,
  })),
);

function roomOf(file: string): string {
  const room = Object.keys(ROOMS).find((name) => file === name || (name.endsWith("/") && file.startsWith(name)));
  if (room === undefined) throw new Error(`src/${file} is in no room of the house; add it to ROOMS`);
  return room;
}

/** The room that a relative import points to, or undefined for a package. */
function target({ file, specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = normalize(join(SRC, dirname(file), specifier));
  return path.startsWith("gen/") ? "gen" : roomOf(relative(SRC, path));
}

/** Descriptions of the forbidden imports, each with file, import and rule. */
function breaches(all: Import[]): string[] {
  return all.flatMap((one) => {
    const room = roomOf(one.file);
    const to = target(one);
    if (to !== undefined) {
      const named = ROOMS[room]!.includes(to) || (to === IDENTIFIER && ROOMS[room]!.includes("domain/"));
      const allowed = to === room || named;
      return allowed
        ? []
        : [`src/${one.file} imports ${one.specifier}: ${room} may import ${ROOMS[room]!.join(", ") || "nothing"}`];
    }
    return OUTSIDE.filter(
      ({ pattern, allowed }) => pattern.test(one.specifier) && !allowed.some((place) => one.file.startsWith(place)),
    ).map(({ what, allowed }) => `src/${one.file} imports ${one.specifier}: ${what} belongs to ${allowed.join(", ")}`);
  });
}

test("every import of src is one that its room may import", () => {
  expect(imports.length).toBeGreaterThan(100);
  expect(imports).toContainEqual({ file: "store/open.ts", specifier: "./postgres/store.ts" });
  expect(breaches(imports)).toEqual([]);
});

test.each([
  [{ file: "domain/user.ts", specifier: "../store/port.ts" }],
  [{ file: "transport/rest/door.ts", specifier: "../../app/execute.ts" }],
  [{ file: "rpc/services/users.ts", specifier: "../../store/sqlite/store.ts" }],
  [{ file: "cli/token/create.ts", specifier: "../../server.ts" }],
  [{ file: "app/search.ts", specifier: "node:sqlite" }],
  [{ file: "server.ts", specifier: "pg" }],
  [{ file: "server.ts", specifier: "prom-client" }],
  [{ file: "transport/dispatch.ts", specifier: "@opentelemetry/api" }],
  [{ file: "observe/calls.ts", specifier: "../rpc/pipeline.ts" }],
  [{ file: "config/config.ts", specifier: "../store/sqlite/store.ts" }],
  [{ file: "rpc/services/users.ts", specifier: "@connectrpc/connect" }],
  [{ file: "console/core/api.ts", specifier: "../../rpc/errors.ts" }],
  [{ file: "transport/console/door.ts", specifier: "preact" }],
  [{ file: "auth/jwt.ts", specifier: "openid-client" }],
])("a forbidden import is found: %j", (one) => {
  expect(breaches([one])).toHaveLength(1);
});

test("the domain imports nothing from outside itself", () => {
  const outside = imports.filter(({ file, specifier }) => file.startsWith("domain/") && !specifier.startsWith("./"));
  expect(outside).toEqual([]);
});

test("observers see other folders by their types only, so that nothing of theirs depends on observers", () => {
  const values = files
    .filter((file) => file.startsWith("observe/"))
    .flatMap((file) =>
      [...readFileSync(join(SRC, file), "utf8").matchAll(/^import (?!type )[^;]*?"(\.[^"]+)";$/gm)].map(
        ([, specifier]) => normalize(join(dirname(file), specifier as string)),
      ),
    );
  expect(values).toContain("observe/names.ts");
  expect(values.filter((path) => !path.startsWith("observe/") && !path.startsWith("../gen/"))).toEqual([]);
});

test("only main.ts reads process.env", () => {
  const readers = files.filter((file) => /process\.env/.test(readFileSync(join(SRC, file), "utf8")));
  expect(readers).toEqual(["main.ts"]);
});

test("every package that the server imports is a dependency, not a development dependency", () => {
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const packages = new Set(
    imports
      // The console is bundled.
      .filter(({ file }) => !file.startsWith("console/"))
      .map(({ specifier }) => specifier)
      .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .filter((specifier) => !builtinModules.includes(specifier))
      .map((specifier) => /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier)?.[1] as string),
  );
  expect([...packages].filter((name) => !Object.hasOwn(dependencies, name))).toEqual([]);
});

/** Packages that only some files of the client may import. A type is no import: nothing of it runs. */
const CLIENT_PACKAGES: [name: RegExp, places: RegExp][] = [
  [/^node:/, /./],
  [/^@bufbuild\/protobuf$|^@bufbuild\/protobuf\//, /./],
  [/^@connectrpc\/connect($|\/)/, /./],
  [/^jose$/, /^guard\//],
  [/^@grpc\/grpc-js$/, /^adapters\/grpc\.ts$/],
];

/** The forbidden imports of a file of the client. */
function clientBreaches(file: string, text: string): string[] {
  return [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from "([^"]+)";$/gm)].flatMap(([, specifier = ""]) => {
    const path = normalize(join(CLIENT, dirname(file), specifier));
    const isAllowed = specifier.startsWith(".")
      ? path.startsWith(CLIENT) || path.startsWith("gen/")
      : CLIENT_PACKAGES.some(([name, places]) => name.test(specifier) && places.test(file));
    return isAllowed ? [] : [`${file} imports ${specifier}`];
  });
}

test("the client imports gen and never src, and few packages", () => {
  const all = readdirSync(CLIENT, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  expect(all).toContain("client.ts");
  expect(all.flatMap((file) => clientBreaches(file, readFileSync(join(CLIENT, file), "utf8")))).toEqual([]);
  const long = all.filter((file) => readFileSync(join(CLIENT, file), "utf8").split("\n").length > 300);
  expect(long).toEqual([]);
});

test.each([
  ["client.ts", 'import { retry } from "../../../src/retry.ts";\n'],
  ["client.ts", 'import { jwtVerify } from "jose";\n'],
  ["adapters/express.ts", 'import express from "express";\n'],
])("a forbidden import of the client is found: %s, %s", (file, text) => {
  expect(clientBreaches(file, text)).toHaveLength(1);
});

test("the client has the version and the license of the server", () => {
  const [server, client] = ["package.json", "packages/client/package.json"].map((file) =>
    JSON.parse(readFileSync(file, "utf8")),
  );
  expect([client.version, client.license]).toEqual([server.version, server.license]);
});

test("no folder of src, of the client, test or bench has more than twelve files", () => {
  const counts = new Map<string, number>();
  for (const root of ["src", "test", "bench", CLIENT])
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) counts.set(entry.parentPath, (counts.get(entry.parentPath) ?? 0) + 1);
  expect([...counts].filter(([, count]) => count > 12)).toEqual([]);
});

test("no file of src has more than 350 lines", () => {
  const long = files.filter((file) => readFileSync(join(SRC, file), "utf8").split("\n").length > 350);
  expect(long).toEqual([]);
});
