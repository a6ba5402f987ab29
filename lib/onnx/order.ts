/**
 * The nodes that a value depends on, in an order in which they can be computed.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { describe, type OnnxNode } from "./model.ts";

/** The node that gives each value. */
function producers(nodes: readonly OnnxNode[], given: ReadonlySet<string>): Map<string, OnnxNode> {
  const producer = new Map<string, OnnxNode>();
  for (const node of nodes) {
    for (const output of node.outputs.filter((name) => name !== "")) {
      if (producer.has(output) || given.has(output)) {
        throw new FormatError(`${describe(node)} gives ${output}, which something else gives as well`);
      }
      producer.set(output, node);
    }
  }
  return producer;
}

/**
 * The nodes that `output` needs, sorted; others are left out. `given` names the values that no node gives: the input
 * and the initialisers. Throws `FormatError` on a cycle, a value that nothing gives, or one that is given twice.
 */
export function sortedNodes(nodes: readonly OnnxNode[], given: ReadonlySet<string>, output: string): OnnxNode[] {
  const producer = producers(nodes, given);
  if (!producer.has(output)) throw new FormatError(`no node gives the output ${output}`);
  const sorted: OnnxNode[] = [];
  const state = new Map<OnnxNode, "open" | "done">();
  // A stack of our own: graphs are deeper than JavaScript's.
  const stack: OnnxNode[] = [producer.get(output)!];
  while (stack.length > 0) {
    const node = stack[stack.length - 1];
    if (state.get(node) === "done") {
      stack.pop();
      continue;
    }
    state.set(node, "open");
    const before = stack.length;
    for (const input of node.inputs) {
      if (input === "" || given.has(input)) continue;
      const source = producer.get(input);
      if (source === undefined) {
        throw new FormatError(`${describe(node)} reads ${input}, which no node, input or initialiser gives`);
      }
      if (state.get(source) === "open") throw new FormatError(`${describe(node)} is part of a cycle through ${input}`);
      if (state.get(source) === undefined) stack.push(source);
    }
    if (stack.length > before) continue;
    state.set(node, "done");
    sorted.push(node);
    stack.pop();
  }
  return sorted;
}
