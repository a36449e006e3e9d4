import { readFileSync } from "node:fs";
import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  type FileRegistry,
  fromBinary,
  type Message,
  setExtension,
} from "@bufbuild/protobuf";
import { type Any, FileDescriptorSetSchema, MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { MethodPolicySchema, policy } from "../../../gen/userlock/v3alpha/options_pb.ts";

/** The package of the suite's contract, whose files come with its runner. */
const PACKAGE = "connectrpc.conformance.v1";

export interface Header {
  name: string;
  value: string[];
}

/** The error that a handler should answer with. */
export interface Failure {
  code: number;
  message?: string;
  details: Any[];
}

interface Definition {
  responseHeaders: Header[];
  responseTrailers: Header[];
  responseDelayMs: number;
}

/** What a call with one answer should answer. */
export interface UnaryDefinition extends Definition {
  response:
    | { case: "responseData"; value: Uint8Array }
    | { case: "error"; value: Failure }
    | { case: undefined; value?: undefined };
}

/** What a call with a stream of answers should answer. */
export interface StreamDefinition extends Definition {
  responseData: Uint8Array[];
  error?: Failure;
}

/** A request of any method of the service. */
export type Request<Defined> = Message & { responseDefinition?: Defined; fullDuplex?: boolean };

export interface Contract {
  registry: FileRegistry;
  service: DescService;
  /** A message type of the package. */
  message(name: string): DescMessage;
}

/** Reads the suite's contract. Each method gets the policy that userlock asks for, with the size limit of its request. */
export function readContract(file: string, maxRequestBytes: number): Contract {
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(file));
  for (const { method } of set.file.flatMap((each) => each.service)) {
    for (const each of method) {
      each.options ??= create(MethodOptionsSchema);
      setExtension(each.options, policy, create(MethodPolicySchema, { permission: "user.read", maxRequestBytes }));
    }
  }
  const registry = createFileRegistry(set);
  const found = <Desc>(desc: Desc | undefined, name: string): Desc => {
    if (desc === undefined) throw new Error(`${file} has no ${name}`);
    return desc;
  };
  return {
    registry,
    service: found(registry.getService(`${PACKAGE}.ConformanceService`), "ConformanceService"),
    message: (name) => found(registry.getMessage(`${PACKAGE}.${name}`), name),
  };
}
