// The renderer `merge-tags`: texts as they were written for a newsletter tool, with `*|FNAME|*` where the
// contact's first name belongs. README.md has the language.
//
// `parse` turns a template into parts, `render` puts a contact's fields into them. Here is only what the
// contract asks for: the functions of the interface `renderer`.

import log from "dripline:plugin/log";

import { fieldsOf, parse } from "./parse.js";
import { RenderError, render as renderOne } from "./render.js";

function check(template) {
  const { parts, problems } = parse(template);
  if (problems.length > 0) {
    // What a function of the contract throws is the error side of its `result`.
    throw { payload: problems };
  }
  return fieldsOf(parts);
}

function render(template, audience) {
  const { parts, problems } = parse(template);
  if (problems.length > 0) {
    const { line, column, text } = problems[0];
    const wrong = failed("template-error", `line ${line}, column ${column}: ${text}`);
    return audience.map(() => wrong);
  }
  return audience.map((fields) => textFor(parts, fields));
}

export const renderer = { check: explained(check), render: explained(render) };

/**
 * The same function, which says why before it traps. An error that nobody catches is a mistake of this program and
 * reaches the host as a bare trap, since a component without WASI has no standard error to print it to.
 */
function explained(call) {
  return (...values) => {
    try {
      return call(...values);
    } catch (error) {
      if (error instanceof Error) log.write("error", `${error} ${error.stack}`);
      throw error;
    }
  };
}

/** One contact's text, or why there is none: the others get theirs all the same. */
function textFor(parts, fields) {
  try {
    const values = new Map(fields.map(({ name, value }) => [name, value]));
    return { tag: "ok", val: renderOne(parts, values) };
  } catch (error) {
    if (error instanceof RenderError) return failed(error.code, error.message);
    throw error;
  }
}

function failed(code, text) {
  return { tag: "err", val: { code, text } };
}
