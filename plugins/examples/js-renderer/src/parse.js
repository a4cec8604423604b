// From a template to its parts.
//
// A part is one of
//   { text }                       what stands there for everybody
//   { field, change }              a contact's value, and what to do to it before it is put in
//   { branches: [{ when, parts }]} the first branch whose condition holds; `when` is null for `ELSE`
// and a condition is { field, wanted, negated }, where `wanted` is null if any value will do.

import { CHANGES } from "./changes.js";

/** Deeper conditions are a mistake, and would make the rendering's own stack a limit that nobody can see. */
const MAX_DEPTH = 16;

/** Problems beyond these say nothing new, and an answer has a size. */
const MAX_PROBLEMS = 50;

/** What other tools call the fields that everybody has, and what they are called here. */
const ALIASES = new Map([
  ["fname", "first_name"],
  ["lname", "last_name"],
]);

/** The parts of a template, and what is wrong with it, each with its line and column. */
export function parse(template) {
  const mistakes = [];
  const root = [];
  // The conditions that are open, innermost last, each with the parts that it stands among.
  const open = [];
  let parts = root;

  const problem = (at, text) => {
    mistakes.push({ at, text });
  };

  const begin = (at, when) => {
    const condition = { branches: [{ when, parts: [] }] };
    parts.push(condition);
    if (open.length === MAX_DEPTH) problem(at, `conditions stand in each other more than ${MAX_DEPTH} deep`);
    open.push({ at, condition, outer: parts });
    parts = condition.branches[0].parts;
  };

  const branch = (at, tag, when) => {
    const innermost = open.at(-1);
    if (!innermost) return problem(at, `\`${tag}\` has no \`IF\` before it`);
    const { branches } = innermost.condition;
    if (branches.at(-1).when === null) return problem(at, `\`${tag}\` comes after \`ELSE\``);
    branches.push({ when, parts: [] });
    parts = branches.at(-1).parts;
  };

  const end = (at) => {
    const innermost = open.pop();
    if (!innermost) return problem(at, "`END:IF` has no `IF` before it");
    parts = innermost.outer;
  };

  const conditional = (at, words, then) => {
    const when = condition(words);
    if (when) then(when);
    else problem(at, "a condition is a field, or a field and a value such as `PLAN=pro`");
  };

  const put = (at, words, change) => {
    const field = fieldName(words);
    if (field) parts.push({ field, change });
    else problem(at, "a field's name has letters, digits and `_` alone");
  };

  const tag = (at, content) => {
    const [, word, colon, rest] = /^([^:]*)(:?)([^]*)$/.exec(content);
    const verb = word.trim().toUpperCase();
    if (!colon) return verb === "ELSE" ? branch(at, "ELSE", null) : put(at, content, null);
    switch (verb) {
      case "IF":
        return conditional(at, rest, (when) => begin(at, when));
      case "IFNOT":
        return conditional(at, rest, (when) => begin(at, { ...when, negated: !when.negated }));
      case "ELSEIF":
        return conditional(at, rest, (when) => branch(at, "ELSEIF", when));
      case "ELSE":
        return branch(at, "ELSE", null);
      case "END":
        return rest.trim().toUpperCase() === "IF" ? end(at) : problem(at, "only `END:IF` ends something");
      default:
        if (CHANGES.has(verb)) return put(at, rest, verb);
        return problem(at, `there is no tag \`${verb.slice(0, 20)}:\``);
    }
  };

  let from = 0;
  for (;;) {
    const at = template.indexOf("*|", from);
    if (at > from || at < 0) parts.push({ text: template.slice(from, at < 0 ? undefined : at) });
    if (at < 0) break;
    const close = template.indexOf("|*", at + 2);
    if (close < 0) {
      problem(at, "this tag is not closed: `|*` is missing");
      break;
    }
    tag(at, template.slice(at + 2, close));
    from = close + 2;
  }
  for (const { at } of open) problem(at, "this condition is not closed: `*|END:IF|*` is missing");
  mistakes.sort((a, b) => a.at - b.at);
  const problems = mistakes
    .slice(0, MAX_PROBLEMS)
    .map(({ at, text }) => ({ ...placeOf(template, at), text }));
  return { parts: root, problems };
}

/** The fields that the parts read, sorted, each once. */
export function fieldsOf(parts) {
  const names = new Set();
  const collect = (these) => {
    for (const { field, branches } of these) {
      if (field) names.add(field);
      for (const { when, parts: inner } of branches ?? []) {
        if (when) names.add(when.field);
        collect(inner);
      }
    }
  };
  collect(parts);
  return [...names].sort();
}

function condition(words) {
  const [, name, not, equals, wanted] = /^([^=!]*)(?:(!?)(=)([^]*))?$/.exec(words) ?? [];
  const field = name !== undefined && fieldName(name);
  if (!field) return null;
  return { field, wanted: equals ? wanted.trim() : null, negated: not === "!" };
}

/** A tag's name as the field is called, or null when no field can be called so. */
function fieldName(words) {
  const name = words.trim().toLowerCase();
  if (!/^[a-z_][a-z0-9_]*$/.test(name)) return null;
  return ALIASES.get(name) ?? name;
}

/** Line and column of an offset, counted from 1 in code points. */
function placeOf(template, offset) {
  const before = template.slice(0, offset).split("\n");
  return { line: before.length, column: [...before.at(-1)].length + 1 };
}
