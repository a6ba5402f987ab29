/**
 * HTML and SVG text in which whatever is interpolated is escaped.
 *
 * @module
 */

/** Text that is markup already: what {@linkcode markup} returns, or a constant of ours such as a style sheet. */
export class Markup {
  /** The markup. */
  readonly text: string;

  /**
   * Takes text as it is.
   *
   * @param text well-formed markup
   */
  constructor(text: string) {
    this.text = text;
  }

  /** The markup, for the one place that writes the page. */
  toString(): string {
    return this.text;
  }
}

/**
 * What {@linkcode markup} takes: text (escaped), numbers (to 2 decimals, for coordinates), markup, lists of these, or
 * nothing.
 */
export type Content = string | number | Markup | undefined | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Template tag: markup`<p>${text}</p>`. Attribute values must be quoted in the template; control characters that HTML
 * forbids become U+FFFD.
 */
export function markup(parts: TemplateStringsArray, ...contents: Content[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + render(contents[i - 1]) + part));
}

function render(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "number") return String(Number(content.toFixed(2)));
  if (typeof content === "string") return escape(content);
  return content.map(render).join("");
}

function escape(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "\ufffd")
    .replace(/[&<>"']/g, (character) => ENTITIES[character]);
}
