// A language model writes while one watches.
import { make } from "./elements.js";
import { write } from "./server.js";

export function build(element, { context }, { answer, problem, failed }) {
  const prompt = make("textarea", { id: "prompt", rows: 4, value: "The " });
  const tokens = option("Tokens", { min: 1, max: 1024, value: 200, step: 1 });
  const temperature = option("Temperature", { min: 0, max: 2, value: 0.8, step: 0.1 });
  const seed = option("Seed", { min: 0, value: 0, step: 1 });
  const go = make("button.main", { type: "button", onclick: begin }, "Write");
  const stop = make("button", { type: "button", disabled: true, onclick: () => running?.abort() }, "Stop");
  let running = null;
  element.append(make("label", { for: "prompt" }, "The text to go on from"), prompt,
    make("div.fields.short", {}, ...[tokens, temperature, seed].map((each) => each.element)),
    make("div.row", {}, go, stop, make("span.soft.grow", {}, `It sees ${context.toLocaleString("en")} tokens. Ctrl+Enter writes, Escape stops.`)));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin();
    if (event.key === "Escape") running?.abort();
  });

  async function begin() {
    if (running) return;
    running = new AbortController();
    [go.disabled, stop.disabled] = [true, false];
    problem("");
    const made = document.createTextNode("");
    const caret = make("i.caret");
    answer.replaceChildren(make("p.said.written", {}, make("span.prompt", {}, prompt.value), made, caret));
    try {
      const asked = { prompt: prompt.value, tokens: tokens.value(), temperature: temperature.value(), seed: seed.value() };
      for await (const piece of write(asked, running.signal)) made.data += piece;
    } catch (error) {
      failed(error);
    } finally {
      caret.remove();
      running = null;
      [go.disabled, stop.disabled] = [false, true];
    }
  }
}

function option(text, properties) {
  const id = text.toLowerCase();
  const field = make("input", { id, type: "number", ...properties });
  return { element: make("div.field", {}, make("label", { for: id }, text), field), value: () => Number(field.value) };
}
