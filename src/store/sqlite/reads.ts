/** Finds something in the database. The text is the same only for questions that have the same answer. */
export type Ask = <Found>(text: string, find: () => Found) => Promise<Found>;

/** Those who have asked the same in one turn of the event loop. */
interface Question {
  find(): unknown;
  answer: PromiseWithResolvers<unknown>;
}

/**
 * Answers who is first in a turn of the event loop at once, and all others of that turn together when it ends: each
 * question once, all in one transaction, one behind the other. What runs many times in a row runs several times as fast
 * as what takes its turn with everything else that a call needs; and who is alone waits for nobody.
 */
export function createReads(parts: {
  inOneTransaction(read: () => void): void;
  /** What those are told for whom it failed. */
  toError(error: unknown): Error;
}): Ask {
  let asked: Map<string, Question> | undefined;

  function answerAll(questions: Question[]): void {
    const found: unknown[] = [];
    try {
      parts.inOneTransaction(() => {
        for (const { find } of questions) found.push(find());
      });
      for (const [index, { answer }] of questions.entries()) answer.resolve(found[index]);
    } catch (error) {
      for (const { answer } of questions) answer.reject(parts.toError(error));
    }
  }

  async function answerFirst<Found>(find: () => Found): Promise<Found> {
    asked = new Map();
    setImmediate(() => {
      const questions = [...(asked as Map<string, Question>).values()];
      asked = undefined;
      if (questions.length > 0) answerAll(questions);
    });
    try {
      return find();
    } catch (error) {
      throw parts.toError(error);
    }
  }

  return <Found>(text: string, find: () => Found): Promise<Found> => {
    if (!asked) return answerFirst(find);
    let question = asked.get(text);
    if (!question) {
      question = { find, answer: Promise.withResolvers() };
      asked.set(text, question);
    }
    return question.answer.promise as Promise<Found>;
  };
}
