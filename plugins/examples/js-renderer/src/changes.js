// What a tag may do to a value before it is put in.

/** By the word before the colon: `*|TITLE:FNAME|*`. */
export const CHANGES = new Map([
  ["UPPER", (value) => value.toUpperCase()],
  ["LOWER", (value) => value.toLowerCase()],
  ["TITLE", title],
]);

/**
 * Capitals at the beginnings of words. Names that are written in capitals alone are brought down first; in a
 * name that has both, such as `McDonald`, somebody has thought about it.
 */
function title(value) {
  const calm = /\p{Ll}/u.test(value) ? value : value.toLowerCase();
  return calm.replace(/(^|[\s\-'’])(\p{Ll})/gu, (_, before, letter) => before + letter.toUpperCase());
}
