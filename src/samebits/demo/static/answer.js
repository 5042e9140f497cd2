// The answer for a sample: bars of classes, numbers with their interval, or marked words of a text.
import { make } from "./elements.js";

const TONES = ["#2f6fbd", "#c8701a", "#2e8b57", "#8a4fbf", "#b3363b", "#17849b", "#a08a10", "#c2458f"];
const FEW = 12;
const UNIT = /^(.*\S) ?[[(]([^[\]()]*[^\d[\]()][^[\]()]*)[\])]$/; // as the answers of `samebits predict`: not label[0]

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const cases = (target) => `${Number((100 * target.coverage).toFixed(2))} % of cases`;
const rounded = (number) => String(Number(number.toPrecision(6)));

/** In one sentence, for people who do not see the bars. */
export function spoken(answer) {
  return answer.error ?? answer.shown.replaceAll(/\s+/g, " ");
}

/**
 * @param {object} how `target` of the model, `text` that was entered, `choose(place)` a class, `label` that is chosen
 */
export function showAnswer(element, answer, { target, text, choose, label }) {
  if (answer.error) {
    element.replaceChildren(make("p.problem", {}, `It cannot be used: ${answer.error}`));
    return;
  }
  if (answer.classes.length) bars(element, answer, target, choose, label);
  else if (answer.values.length) numbers(element, answer, target);
  else if (answer.spans.length && typeof text === "string") element.replaceChildren(spans(text, answer.spans));
  else element.replaceChildren(make("p.said", {}, answer.shown));
  element.querySelectorAll(".note").forEach((each) => each.remove());
  const notes = [...answer.notes];
  if (answer.label_set.length) {
    notes.unshift(`${answer.label_set.join(", ")}: such a set holds the true class in ${cases(target)}.`);
  }
  element.append(...notes.map((each) => make("p.note", {}, each)));
}

/** Few classes keep their places, so that their bars move; of many, the best come first. */
function bars(element, answer, target, choose, label) {
  const shares = new Map(answer.classes.map((each) => [each.label, each.probability]));
  const names = target.classes.length <= FEW ? target.classes : [...shares.keys()];
  let list = element.querySelector(".bars");
  if (!list || list.dataset.names !== JSON.stringify(names)) {
    list = make("ul.bars", {}, ...names.map((name) => bar(name, target, choose)));
    const letters = Math.min(16, Math.max(...names.map((name) => name.length))) + (target.colours.length ? 2 : 1);
    list.style.setProperty("--wide", `${letters}ch`);
    list.dataset.names = JSON.stringify(names);
    element.replaceChildren(list);
  }
  names.forEach((name, place) => {
    const share = shares.get(name) ?? 0;
    const row = list.children[place].firstChild;
    row.classList.toggle("best", target.each && !target.colours.length ? share > 0.5 : name === answer.classes[0].label);
    row.querySelector(".fill").style.width = `${100 * share}%`;
    row.querySelector(".share").textContent = percent(share);
    if (choose) row.setAttribute("aria-pressed", label === target.classes.indexOf(name));
  });
}

function bar(name, target, choose) {
  const place = target.classes.indexOf(name);
  const row = make(choose ? "button.bar" : "div.bar", choose
    ? { type: "button", title: `${name}: what speaks for it`, onclick: () => choose(place) } : { title: name });
  const track = make("span.track", {}, make("span.fill"));
  const shown = make("span.name");
  if (target.colours[place]) {
    const swatch = make("i.swatch");
    swatch.style.background = `rgb(${target.colours[place].join(" ")})`;
    shown.append(swatch);
  } else if (target.each) track.append(make("span.half"));
  shown.append(name);
  row.append(shown, track, make("span.share"));
  return make("li", {}, row);
}

function numbers(element, answer, target) {
  if (element.querySelectorAll(".number").length !== answer.values.length) {
    element.replaceChildren(...answer.values.map((_, place) => number(target, place)));
  }
  answer.values.forEach((value, place) => {
    const row = element.querySelectorAll(".number")[place];
    const [, unit] = named(target, place);
    row.querySelector(".value").textContent = unit ? `${rounded(value)} ${unit}` : rounded(value);
    const [low, high] = target.ranges[place] ?? [value - 1, value + 1];
    const across = (each) => 100 * Math.min(1, Math.max(0, (each - low) / (high - low)));
    row.querySelector("b").style.left = `${across(value)}%`;
    const ends = answer.interval[place];
    const band = row.querySelector("i");
    band.hidden = !ends;
    if (!ends) return;
    band.style.left = `${across(ends[0])}%`;
    band.style.width = `${across(ends[1]) - across(ends[0])}%`;
    row.querySelector(".interval").textContent =
      `${rounded(ends[0])} to ${rounded(ends[1])}: such an interval holds the true number in ${cases(target)}.`;
  });
}

function named(target, place) {
  const name = target.names[place] ?? `${target.names[0]}[${place}]`;
  const match = UNIT.exec(name);
  return match ? [match[1], match[2]] : [name, ""];
}

function number(target, place) {
  const ends = (target.ranges[place] ?? []).map((each) => make("span", {}, String(Number(each.toPrecision(3)))));
  const row = make("div.number", {},
    make("div.soft", {}, named(target, place)[0]), make("div.value"),
    make("div.range", { title: "the mean of the training data in the middle, three standard deviations to each side" }, make("i"), make("b")),
    make("div.ends", {}, ...ends), make("div.interval.soft"));
  if (target.ranges.length === 1) row.classList.add("only");
  return row;
}

/** A text with its marked words; `begin` and `end` count characters, not UTF-16 units. */
function spans(text, found) {
  const letters = Array.from(text);
  const tones = new Map();
  const shown = make("p.said");
  let end = 0;
  for (const each of found) {
    if (!tones.has(each.label)) tones.set(each.label, TONES[tones.size % TONES.length]);
    const mark = make("mark", { title: percent(each.probability) },
      letters.slice(each.begin, each.end).join(""), make("small", {}, each.label));
    mark.style.setProperty("--tone", tones.get(each.label));
    shown.append(letters.slice(end, each.begin).join(""), mark);
    end = each.end;
  }
  shown.append(letters.slice(end).join(""));
  return shown;
}
