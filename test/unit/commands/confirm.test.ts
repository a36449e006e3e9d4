// Proves that a question is asked on a terminal only, and that a signal ends it.
import { confirm } from "../../../src/cli/frame/run.ts";

function asked(isInteractive: boolean, answers: AsyncIterable<string>) {
  const written: string[] = [];
  const around = { isInteractive, stdin: () => answers, stderr: { write: (text: string) => written.push(text) } };
  return { around, written };
}
async function* typed(...texts: string[]) {
  yield* texts;
}
async function* silence(): AsyncGenerator<string> {
  await new Promise(() => {});
}

test.each(["y\n", "yes\n", " Y \nmore"])("confirm passes for the answer %j", async (answer) => {
  const { around, written } = asked(true, typed(answer));
  await confirm("Lock?", around);
  expect(written).toEqual(["Lock? [y/N] "]);
});

test.each([[["n\n"]], [["\n"]], [["yet\n"]], [[]]])("confirm refuses with 1 for the answers %j", async (answers) => {
  const { around } = asked(true, typed(...answers));
  await expect(confirm("Lock?", around)).rejects.toMatchObject({ exitCode: 1, message: "Nothing was changed." });
});

test("confirm asks nothing where no person is there", async () => {
  const { around, written } = asked(false, silence());
  await confirm("Lock?", around);
  expect(written).toEqual([]);
});

test("confirm refuses with 130 when a signal comes instead of an answer", async () => {
  const { around } = asked(true, silence());
  const stop = new AbortController();
  const confirmed = confirm("Lock?", around, stop.signal);
  stop.abort();
  await expect(confirmed).rejects.toMatchObject({ exitCode: 130, message: "\nNothing was changed." });
});
