// The graph of a declared workflow, laid out in layers: a task stands after all of its parents.
import { isObject, type Json } from "./json";
import type { Row } from "./waterfall";

export interface Task {
  name: string;
  step: string;
  parents: string[];
  condition?: string;
  /** Of a run: how far it is. */
  state?: string;
  /** What is written instead of the name. */
  title?: string;
}

/** What a run did, in the order in which one thing led to the next. */
export function tasksOfRows(rows: readonly Row[]): Task[] {
  return rows.map(({ seq, kind, name, after, state }) => ({
    name: String(seq),
    title: name,
    step: kind,
    parents: after.map(String),
    state,
  }));
}

/** A declared workflow with how far each of its tasks is; what was left out, or has not begun, has no state. */
export function withStates(tasks: readonly Task[], rows: readonly Row[]): Task[] {
  // Of a task that was done anew, the latest.
  const states = new Map(rows.map(({ name, state }) => [name, state]));
  return tasks.map((task) => {
    const state = states.get(task.name);
    return state === undefined ? task : { ...task, state };
  });
}

export function tasksOf(definition: Json): Task[] {
  if (!isObject(definition.tasks)) return [];
  return Object.entries(definition.tasks)
    .filter((entry): entry is [string, Json] => isObject(entry[1]))
    .map(([name, task]) => {
      const parents = Array.isArray(task.parents) ? task.parents.filter((one) => typeof one === "string") : [];
      const condition = typeof task.skip_if === "string" ? task.skip_if : undefined;
      const step = typeof task.step === "string" ? task.step : "";
      return { name, step, parents, ...(condition === undefined ? {} : { condition }) };
    });
}

/** Parents that are not there, or that stand in a circle, hold nobody up: the engine takes no such definition. */
export function layers(tasks: readonly Task[]): Task[][] {
  const placed = new Set<string>();
  const known = new Set(tasks.map(({ name }) => name));
  const result: Task[][] = [];
  let left = [...tasks];
  while (left.length > 0) {
    const ready = left.filter(({ parents }) => parents.every((parent) => placed.has(parent) || !known.has(parent)));
    const layer = ready.length > 0 ? ready : left;
    result.push(layer);
    layer.forEach(({ name }) => placed.add(name));
    left = left.filter(({ name }) => !placed.has(name));
  }
  return result;
}
