/** Characters of a word. */
const MAX_WORD = 32;
/** So many words a key has whatever they are; more only as long as those that it has are used often. */
const FREE_WORDS = 63;
const MAX_WORDS = 1_024;
const USES_PER_WORD = 8;
/** What a word and a shape take about, bytes; a character takes two at most. */
const WORD_BYTES = 100;
const SHAPE_BYTES = 500;

/** Texts that came under one key. */
export interface Words {
  list: string[];
  numbers: Map<string, number>;
  /** How often one of them came again. */
  uses: number;
}

/** One key of an object, after those that come before it: a tree in which each object has a place for its last key. */
export interface Shape {
  key: string;
  words: Words;
  /** By the key that comes next. */
  next: Map<string, Shape>;
  /** From the first key to this one. */
  path: readonly Shape[];
  /** Among those that are a whole object; undefined if none was met that ends here. */
  number: number | undefined;
}

/** What was met before in objects, each with a number. */
export interface Vocabulary {
  /** The number of a text under a key; undefined if it has none, for most texts never come again. */
  numberOf(words: Words, text: string): number | undefined;
  /** The shape of an object with these keys in this order; undefined if it has none and can get none. */
  shapeOf(keys: readonly string[]): Shape | undefined;
  /** The shape of the number. */
  shape(number: number): Shape;
}

/** Takes about so many bytes and no more. */
export function createVocabulary(maxBytes: number): Vocabulary {
  let bytes = 0;
  const shapes: Shape[] = [];
  const root = place("");

  function place(key: string, before?: Shape): Shape {
    const words = { list: [], numbers: new Map(), uses: 0 };
    const shape: Shape = { key, words, next: new Map(), path: [], number: undefined };
    if (before) shape.path = [...before.path, shape];
    bytes += SHAPE_BYTES + 8 * shape.path.length + 2 * key.length;
    return shape;
  }

  return {
    numberOf(words, text) {
      if (text.length > MAX_WORD) return undefined;
      const number = words.numbers.get(text);
      if (number !== undefined) {
        words.uses++;
        return number;
      }
      const { length } = words.list;
      if (length === MAX_WORDS || bytes >= maxBytes) return undefined;
      if (length >= FREE_WORDS && words.uses < USES_PER_WORD * length) return undefined;
      words.numbers.set(text, length);
      words.list.push(text);
      bytes += WORD_BYTES + 2 * text.length;
      return length;
    },
    shapeOf(keys) {
      let shape = root;
      for (const key of keys) {
        let next = shape.next.get(key);
        if (!next) {
          if (key.length > MAX_WORD || key === "__proto__" || bytes >= maxBytes) return undefined;
          next = place(key, shape);
          shape.next.set(key, next);
        }
        shape = next;
      }
      if (shape.number === undefined) {
        shape.number = shapes.length;
        shapes.push(shape);
      }
      return shape;
    },
    shape: (number) => shapes[number] as Shape,
  };
}
