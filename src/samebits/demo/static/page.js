// The page: what is entered goes to the server at once, and the newest answer is shown.
import { showAnswer, spoken } from "./answer.js";
import { make, newest } from "./elements.js";
import { showInfluence, showMistakes, showSeen } from "./look.js";
import { Problem, ask, get } from "./server.js";

const WIDGETS = ["array", "image", "prompt", "table", "text"];
const QUIET_MS = 300; // without a change, until what takes longer is asked for
const FEW = 12; // classes that all have a bar, in their own order

const at = (id) => document.getElementById(id);
let model;
let sample = null; // what is entered; null: nothing
let label = null; // the class whose influence is shown; null: the one that the model says
let slow = new AbortController();
let timer;

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function failed(error) {
  if (error.name === "AbortError") return;
  problem(error instanceof Problem ? error.message : `This page has an error: ${error.message}`);
  if (!(error instanceof Problem)) console.error(error);
}

const answer = newest(async (entered) => {
  try {
    const top = Math.min(model.target.classes.length, FEW) || undefined;
    const found = (await ask("predict", entered, { top })).predictions[0];
    if (sample === null) return;
    problem("");
    showAnswer(at("answer"), found, { target: model.target, text: entered.value, choose: model.method && choose, label });
    if (entered === sample) at("spoken").textContent = spoken(found);
  } catch (error) {
    failed(error);
  }
});

function choose(place) {
  label = label === place ? null : place;
  changed(sample);
}

/** A widget tells what is entered: {value} or {file, name}; null where there is nothing. */
function changed(entered) {
  sample = entered;
  clearTimeout(timer);
  slow.abort();
  slow = new AbortController();
  at("influence").classList.add("busy");
  if (entered === null) {
    label = null;
    at("answer").replaceChildren(make("p.soft", {}, "Its answer will stand here."));
    at("influence").hidden = at("near").hidden = true;
    return;
  }
  answer(entered);
  timer = setTimeout(look, QUIET_MS, entered, slow.signal);
}

/** What takes longer than an answer. */
async function look(entered, signal) {
  try {
    const seen = await ask("page/look", entered, { signal });
    if (seen.error) {
      at("influence").hidden = at("near").hidden = true;
      return;
    }
    near(seen.mistakes, entered, signal);
    at("influence").hidden = !(seen.picture || model.method);
    if (seen.picture) showSeen(at("parts"), seen.picture, model.method);
    if (model.method) {
      const asked = label === null ? "page/explain" : `page/explain?label=${label}`;
      const found = await ask(asked, entered, { signal });
      showInfluence(at("parts"), found, { model, label, picture: seen.picture });
    }
    at("influence").classList.remove("busy");
  } catch (error) {
    failed(error);
  }
}

/** The mistakes may still be looked for when a page is new. */
async function near(mistakes, entered, signal) {
  try {
    while (mistakes === null) {
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
      if (signal.aborted) return;
      ({ mistakes } = await ask("page/look", entered, { signal }));
    }
    showMistakes(at("near"), at("mistakes"), mistakes);
  } catch (error) {
    failed(error);
  }
}

async function start() {
  try {
    model = await get("page/form");
    at("title").textContent = document.title = model.title;
    at("described").textContent = model.described;
    at("near-text").textContent = model.mistakes ?? "";
    at("file").textContent = `Model ${model.sha256.slice(0, 16)}`;
    if (!WIDGETS.includes(model.widget)) throw new Error(`unknown widget ${model.widget}`);
    const { build } = await import(`./${model.widget}.js`);
    at("panels").hidden = false;
    changed(null);
    build(at("entry"), model.fields, { changed, problem, failed, answer: at("answer") });
  } catch (error) {
    failed(error);
  }
}

start();
