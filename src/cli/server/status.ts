import { type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  AccessService,
  CredentialSchema,
  type Reach,
  type WhoAmIResponse,
  WhoAmIResponseSchema,
} from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { addressOf, clientOf, explain } from "../client.ts";
import { command } from "../frame/command.ts";
import { CommandFailed, EX_OK, EX_UNAVAILABLE } from "../frame/errors.ts";
import { OUTPUT, printFacts, printJson, timeOf, wordOf } from "../output.ts";
import { grantsOf } from "../token/list.ts";

/** Timeout of a probe, milliseconds. */
const TIMEOUT_MS = 5_000;

export const status = command({
  summary: "Show if the server is up and ready, and who the caller is",
  options: OUTPUT,
  example: "status",
  async run({ output }, _args, around) {
    const url = addressOf(around.env);
    const [isAlive, isReady] = await Promise.all([probe(`${url}/healthz`), probe(`${url}/readyz`)]);
    const asked = isAlive ? await whoAmI(around.env) : undefined;
    const answer = asked && "answer" in asked ? asked.answer : undefined;
    const failure = asked && "failure" in asked ? asked.failure : undefined;
    if (output === "json") {
      const facts = {
        url,
        alive: isAlive,
        ready: isReady,
        ...(answer && (toJson(WhoAmIResponseSchema, answer) as JsonObject)),
      };
      printJson(JSON.stringify(facts), around);
    } else {
      const ready = isReady ? "ready" : "not ready: it cannot write its store, or it is stopping";
      printFacts([["address", url], ["server", isAlive ? ready : "does not answer"], ...factsOf(answer)], around);
    }
    if (failure) throw failure;
    if (!isAlive) throw new CommandFailed(`userlock: no userlock answers at ${url}`, EX_UNAVAILABLE);
    return isReady ? EX_OK : EX_UNAVAILABLE;
  },
});

async function probe(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.text();
    return response.ok;
  } catch {
    return false;
  }
}

/** The answer or the failure. The rest of the status is printed in any case. */
async function whoAmI(env: Parameters<typeof clientOf>[1]): Promise<{ answer: WhoAmIResponse } | { failure: Error }> {
  try {
    return { answer: await clientOf(AccessService, env, TIMEOUT_MS).whoAmI({}) };
  } catch (error) {
    if ((error as Error).name === "UsageError") return { failure: error as Error };
    const { message, exitCode } = explain(error);
    return { failure: new CommandFailed(`userlock: ${message}`, exitCode) };
  }
}

function factsOf(answer: WhoAmIResponse | undefined): [name: string, value: string | undefined][] {
  if (!answer) return [];
  const { server, subject, credential, tokenId, sessionId, grants, permissions, expires } = answer;
  return [
    ["version", server?.version],
    ["store", server?.store],
    ["instance", server?.instanceId],
    ["you are", subject],
    ["by", [wordOf(CredentialSchema.value[credential]?.localName), tokenId ?? sessionId].filter(Boolean).join(" ")],
    ["expires", timeOf(expires) || "never"],
    ["grants", grantsOf({ grants }) || "none"],
    ...permissions.map((reach, index): [string, string] => [index === 0 ? "permissions" : "", reachOf(reach)]),
  ];
}

function reachOf({ permission, instance, organizationIds }: Reach): string {
  return `${permission} ${instance ? "everywhere" : `in ${organizationIds.join(", ")}`}`;
}
