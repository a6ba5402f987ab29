import { assertEquals } from "@std/assert";
import { markup } from "../../lib/evaluation/markup.ts";

Deno.test("markup escapes text, keeps markup, joins lists and rounds coordinates", () => {
  const inner = markup`<b>${"a < b & \"c\" 'd'"}</b>`;
  assertEquals(inner.text, "<b>a &lt; b &amp; &quot;c&quot; &#39;d&#39;</b>");
  assertEquals(markup`<p x="${1 / 3}">${[inner, "<", undefined, [2]]}</p>`.text, `<p x="0.33">${inner.text}&lt;2</p>`);
});

Deno.test("markup replaces control characters that HTML forbids", () => {
  assertEquals(markup`${"a\x00b\x1bc\td"}`.text, "a\ufffdb\ufffdc\td");
});
