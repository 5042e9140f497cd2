// What the model sees, which parts of it count, and what the model gets wrong near it.
import { make } from "./elements.js";

const FOR = [200, 112, 26]; // as --second of page.css
const AGAINST = [47, 111, 189]; // --first

/** The sample as the model takes it. */
export function showSeen(parts, picture, method) {
  const caption = make("figcaption", {}, make("span", {}, "as the model sees it"));
  const figure = make("figure.seen", {}, make("img", { src: picture, alt: "the input as the model takes it" }), caption);
  const old = parts.querySelector(".seen");
  if (old) old.replaceWith(figure);
  else parts.replaceChildren(make(method ? "div.pictures" : "div", {}, figure));
}

/** The effect of each part on the answer: over the picture, as the background of words, or as bars of columns. */
export async function showInfluence(parts, found, { model, label, picture }) {
  const rest = [];
  if (found.error) rest.push(make("p.note", {}, found.error));
  if (found.map) {
    const pictures = parts.querySelector(".pictures") ?? make("div.pictures");
    const figure = await heat(found.map, picture);
    const old = pictures.querySelector(".heat");
    if (old) old.replaceWith(figure);
    else pictures.append(figure);
    rest.push(pictures);
  }
  if (found.words) rest.push(words(found.words));
  if (found.columns) rest.push(columns(found.columns));
  if (!found.error) rest.push(...caption(found, model, label));
  parts.replaceChildren(...rest);
}

function caption(found, model, label) {
  const { target, method } = model;
  const what = label === null ? "the answer" : `“${target.classes[label]}”`;
  const [more, less] = target.classes.length ? [`speaks for ${what}`, "against it"] : ["raises the number", "lowers it"];
  const key = target.classes.length || target.names.length === 1
    ? [keyed("for", more), keyed("against", less)] : [keyed("for", "moves the numbers")];
  const shown = [make("p.soft.keys", {}, ...key)];
  if (found.least === undefined) shown.push(make("p.soft", {}, "No part by itself changes the answer."));
  else if (found.least) {
    const parts = found.least.split(/\s{3,}/).map((each) => each.replaceAll(" ", "\u00a0"));
    shown.push(make("p.soft", {}, "Without the part that counts most: ", make("b", {}, parts.join(" · "))));
  }
  const choose = target.classes.length ? " Choose a bar above to see what speaks for that class." : "";
  shown.push(make("p.soft", {}, method + choose));
  return shown;
}

const keyed = (kind, text) => make("span", {}, make(`i.key.${kind}`), text);
const largest = (values) => Math.max(...values.map(Math.abs), 1e-9);

async function heat(map, picture) {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const size = Math.max(1, Math.round(280 / Math.max(image.width, image.height)));
  const canvas = make("canvas", { width: image.width * size, height: image.height * size, role: "img",
    "aria-label": "which parts of the input speak for the answer" });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  pen.fillStyle = "rgb(128 128 128 / .35)"; // so that the colours are seen on black and on white
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const most = largest(map.flat());
  const cells = make("canvas", { width: map[0].length, height: map.length });
  const data = new ImageData(map[0].length, map.length);
  map.flat().forEach((value, place) => {
    const alpha = 230 * Math.sqrt(Math.abs(value) / most) * (Math.abs(value) > 0.04 * most);
    data.data.set([...(value > 0 ? FOR : AGAINST), alpha], 4 * place);
  });
  cells.getContext("2d").putImageData(data, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(cells, 0, 0, canvas.width, canvas.height);
  return make("figure.heat", {}, canvas, make("figcaption", {}, make("span", {}, "what counts")));
}

function words(pieces) {
  const most = largest(pieces.map(([, effect]) => effect ?? 0));
  return make("p.words", {}, ...pieces.map(([text, effect]) => {
    if (effect === null) return text;
    const word = make("span", { title: effect.toFixed(3) }, text);
    const tone = (effect > 0 ? FOR : AGAINST).join(" ");
    word.style.background = `rgb(${tone} / ${(0.7 * Math.abs(effect) / most).toFixed(3)})`;
    return word;
  }));
}

function columns(found) {
  const most = largest(found.map(([, effect]) => effect));
  const sorted = [...found].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return make("dl.signed", {}, ...sorted.flatMap(([name, effect]) => {
    const bar = make(effect > 0 ? "i.for" : "i.against");
    const width = 50 * Math.abs(effect) / most;
    bar.style.left = `${effect > 0 ? 50 : 50 - width}%`;
    bar.style.width = `${width}%`;
    return [make("dt", { title: name }, name), make("dd", { title: effect.toFixed(3), role: "img", "aria-label": effect.toFixed(3) }, bar)];
  }));
}

/** Nothing is shown where the report is not there. */
export function showMistakes(section, element, mistakes) {
  section.hidden = !mistakes.length;
  element.classList.toggle("texts", mistakes.some((each) => !each.picture));
  element.replaceChildren(...mistakes.map((each) => make("figure", {},
    ...shown(each),
    make("figcaption", {}, ...(each.right || each.alone ? [each.said]
      : ["said ", make("b", {}, each.said || "no label"), make("span", {}, `true: ${each.true || "no label"}`)])))));
}

/** Of a mask two pictures: what was marked, and what is right. */
function shown(each) {
  if (each.right) return [make("img", { src: each.picture, alt: "what the model marks" }), make("img", { src: each.right, alt: "what is right" })];
  return [each.picture ? make("img", { src: each.picture, alt: `a test sample of ${each.true}` }) : make("pre", {}, each.text)];
}
