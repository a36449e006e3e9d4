import type { AnyDesc } from "@bufbuild/protobuf";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";

/** The comment of a part of the contract, in Markdown. Undefined if it has none. */
export type CommentOf = (desc: AnyDesc) => string | undefined;

/**
 * Reads the comments of a descriptor set with source info. Fields are named as in JSON, because that is how readers of
 * the document write them.
 */
export function createCommentOf(set: FileDescriptorSet): CommentOf {
  const comments = new Map<string, string>();
  const names = new Map<string, string>();
  for (const file of set.file) {
    for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
      if (leadingComments) comments.set(`${file.name}:${path.join(".")}`, leadingComments);
    }
    const messages = [...file.messageType];
    for (const { field, nestedType } of messages) {
      messages.push(...nestedType);
      for (const { name, jsonName } of field) if (name !== jsonName) names.set(name, jsonName);
    }
  }
  return (desc) => {
    const place = placeOf(desc);
    const comment = place === undefined ? undefined : comments.get(place);
    return comment && inMarkdown(comment).replaceAll(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => names.get(name) ?? name);
  };
}

/** Paragraphs of one line each, without the instructions to buf's linter. */
function inMarkdown(comment: string): string {
  return comment
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => !line.startsWith("buf:lint:"))
        .join(" ")
        .trim(),
    )
    .join("\n\n");
}

/** The file and the path of the part in it (SourceCodeInfo in google/protobuf/descriptor.proto). */
function placeOf(desc: AnyDesc): string | undefined {
  switch (desc.kind) {
    case "service":
      return `${desc.file.proto.name}:6.${desc.file.services.indexOf(desc)}`;
    case "rpc":
      return `${placeOf(desc.parent)}.2.${desc.parent.methods.indexOf(desc)}`;
    case "message":
      return desc.parent
        ? `${placeOf(desc.parent)}.3.${desc.parent.nestedMessages.indexOf(desc)}`
        : `${desc.file.proto.name}:4.${desc.file.messages.indexOf(desc)}`;
    case "field":
      return `${placeOf(desc.parent)}.2.${desc.parent.proto.field.indexOf(desc.proto)}`;
    case "enum":
      return desc.parent
        ? `${placeOf(desc.parent)}.4.${desc.parent.nestedEnums.indexOf(desc)}`
        : `${desc.file.proto.name}:5.${desc.file.enums.indexOf(desc)}`;
    case "enum_value":
      return `${placeOf(desc.parent)}.2.${desc.parent.values.indexOf(desc)}`;
    default:
      return undefined;
  }
}
