// From parts to one contact's text.

import { CHANGES } from "./changes.js";

/** Why a contact gets no text. It never quotes a value: errors are kept, and values are people's. */
export class RenderError extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

/** The text of the parts with these values, a map from fields' names. */
export function render(parts, values) {
  let text = "";
  for (const part of parts) {
    if (part.branches) {
      const taken = part.branches.find(({ when }) => when === null || holds(when, values));
      if (taken) text += render(taken.parts, values);
    } else if (part.field) {
      text += valueOf(part, values);
    } else {
      text += part.text;
    }
  }
  return text;
}

function valueOf({ field, change }, values) {
  const value = values.get(field);
  if (value === undefined) {
    throw new RenderError("missing-field", `the contact has no field \`${field}\``);
  }
  return change ? CHANGES.get(change)(value) : value;
}

/** A missing field is no error in a condition: asking for it is what conditions are for. */
function holds({ field, wanted, negated }, values) {
  const value = (values.get(field) ?? "").trim();
  const met = wanted === null ? value !== "" : value === wanted;
  return met !== negated;
}
