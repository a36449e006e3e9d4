// Proves that a client made from the OpenAPI document compiles, refuses mistakes, and locks a user.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { State } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { blocks } from "../../support/docs.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { usersOf } from "../../support/users.ts";

let server: ServerProcess;
/** Below the checkout, so that the client finds its package. */
const folder = mkdtempSync("node_modules/.cache/userlock/client-");

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.stop();
});

const CLIENT = `
import createClient from "openapi-fetch";
import type { components, paths } from "./userlock.ts";

const headers = { authorization: \`Bearer \${process.env.TOKEN}\` };
const userlock = createClient<paths>({ baseUrl: process.env.URL as string, headers });
const params = { path: { id: process.env.ID as string } };

const { data } = await userlock.POST("/resources/v3alpha/users/{id}/_lock", { params, body: { reason: "fraud" } });
const id: string | undefined = data?.details?.id;
const { error } = await userlock.POST("/resources/v3alpha/users/{id}/_lock", { params, body: {} });
const [info] = error?.details ?? [];
const reason: components["schemas"]["ErrorInfo"]["reason"] | undefined = info && "reason" in info ? info.reason : undefined;
const found = await userlock.GET("/resources/v3alpha/users/{id}", { params });
const state: components["schemas"]["State"] | undefined = found.data?.user?.state;
console.log(JSON.stringify([id, reason, state]));

// @ts-expect-error: the field does not exist.
export const misspelt: components["schemas"]["LockUserRequest"] = { raeson: "fraud" };
// @ts-expect-error: a password is missing.
export const empty: components["schemas"]["SetPassword"] = { changeRequired: true };
// @ts-expect-error: the path does not exist.
export const unknown = () => userlock.POST("/resources/v3alpha/users/{id}/_freeze", { params });
`;

const OPTIONS = {
  compilerOptions: {
    ...{ target: "es2024", module: "nodenext", types: ["node"], strict: true },
    ...{ exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, rewriteRelativeImportExtensions: true },
  },
  files: ["client.ts", "documented.ts"],
};

const run = (program: string, args: string[], environment = {}) => {
  const options = { cwd: folder, encoding: "utf8", timeout: 120_000, env: { ...process.env, ...environment } } as const;
  const { stdout, stderr } = spawnSync(program, args, options);
  return { stdout, stderr };
};

test("clients made by openapi-typescript compile and lock users, also that of the documentation", async () => {
  const [documented] = blocks("typescript");
  const { add, stateOf } = usersOf(server.url);
  const [id, other] = [await add(), await add()];
  const maker = [resolve("test/support/openapi/make-types.js"), resolve("gen/openapi.json")];
  const types = run(process.execPath, maker);
  expect(types.stderr).toBe("");
  writeFileSync(join(folder, "userlock.ts"), types.stdout);
  writeFileSync(join(folder, "client.ts"), CLIENT);
  const sample = (documented?.code ?? "").replace("http://127.0.0.1:8080", server.url).replace('"alice"', `"${other}"`);
  writeFileSync(join(folder, "documented.ts"), sample);
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(OPTIONS));
  expect(run(resolve("node_modules/.bin/tsc"), ["-p", "."])).toEqual({ stdout: "", stderr: "" });

  const answer = run(process.execPath, ["client.js"], { URL: server.url, TOKEN: ADMIN_TOKEN, ID: id });
  expect(answer).toEqual({
    stdout: `${JSON.stringify([id, "USER_ALREADY_LOCKED", "USER_STATE_LOCKED"])}\n`,
    stderr: "",
  });
  expect(run(process.execPath, ["documented.js"], { TOKEN: ADMIN_TOKEN })).toEqual({
    stdout: `locked ${other}\n`,
    stderr: "",
  });
  expect(await stateOf(other)).toBe(State.USER_STATE_LOCKED);
});
