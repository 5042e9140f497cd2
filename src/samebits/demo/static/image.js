// A canvas of the model's proportions: drawn on with mouse, finger or keys, or filled with an image file.
import { files, make } from "./elements.js";

const SIDE = 280; // pixels of the longer side
const STEP = 0.02; // of the longer side, a press of an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function build(element, { width, height, channels, dark }, { changed, failed }) {
  const scale = SIDE / Math.max(width, height);
  const canvas = make("canvas", {
    width: Math.round(width * scale), height: Math.round(height * scale), tabIndex: 0, role: "application",
    "aria-label": "Drawing area. Arrow keys move the pen, Space puts it down or lifts it, Delete clears the drawing.",
  });
  const pen = canvas.getContext("2d");
  const hint = make("p.hint", {}, "Draw here, or drop an image");
  const cursor = make("i.pen", { hidden: true });
  const paper = make("div.paper", {}, canvas, hint, cursor);
  const thick = make("input", { type: "range", id: "thick", min: 2, max: 24, value: 9 });
  const colour = make("input", { type: "color", value: dark ? "#ffffff" : "#000000", "aria-label": "Colour of the pen" });
  const clear = make("button", { type: "button", onclick: wipe }, "Clear");
  const choose = files(element, "image/*", "Choose an image", show);
  element.append(paper,
    make("div.row", {}, clear, choose, make("span.grow.slider", {}, make("label", { for: "thick" }, "Pen"), thick), ...(channels > 2 ? [colour] : [])));

  let last = null; // where the pen is down
  let drawn = false;

  function blank() {
    pen.fillStyle = dark ? "#000" : "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    hint.hidden = false;
    drawn = false;
  }

  function wipe() {
    blank();
    changed(null);
  }

  const send = () => canvas.toBlob((file) => { if (drawn) changed({ file, name: "drawing.png" }); });

  function line(to) {
    drawn = true;
    hint.hidden = true;
    pen.strokeStyle = pen.fillStyle = colour.value;
    pen.lineWidth = SIDE * thick.value / 100;
    pen.lineCap = "round";
    pen.beginPath();
    if (last) {
      pen.moveTo(...last);
      pen.lineTo(...to);
      pen.stroke();
    } else {
      pen.arc(...to, pen.lineWidth / 2, 0, 2 * Math.PI); // a line of no length is not drawn
      pen.fill();
    }
    last = to;
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    last = null;
    line(place(event));
    send();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary || !last || !event.buttons) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const each of moves.length ? moves : [event]) line(place(each));
    send();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });

  // By keys: a ring shows where the pen is, and is full while it is down.
  let at = [canvas.width / 2, canvas.height / 2];
  let down = false;

  function showCursor() {
    cursor.hidden = document.activeElement !== canvas || !canvas.matches(":focus-visible");
    cursor.classList.toggle("down", down);
    cursor.style.left = `${100 * at[0] / canvas.width}%`;
    cursor.style.top = `${100 * at[1] / canvas.height}%`;
  }

  canvas.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (!move && ![" ", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    if (move) {
      const step = STEP * SIDE * (event.shiftKey ? 3 : 1);
      const before = at;
      at = [0, 1].map((k) => Math.min([canvas.width, canvas.height][k], Math.max(0, at[k] + step * move[k])));
      if (down) { last = before; line(at); send(); last = null; }
    } else if (event.key === " ") {
      down = !down;
      if (down) { last = null; line(at); send(); last = null; }
    } else {
      down = false;
      wipe();
    }
    showCursor();
  });
  canvas.addEventListener("focus", showCursor);
  canvas.addEventListener("blur", showCursor);

  /** The file itself is sent, so that the answer is that of `samebits predict`; the canvas shows it. */
  async function show(file) {
    try {
      blank();
      hint.hidden = true;
      const image = await createImageBitmap(file).catch(() => null);
      if (image) {
        const fit = Math.min(canvas.width / image.width, canvas.height / image.height);
        const [w, h] = [image.width * fit, image.height * fit];
        pen.drawImage(image, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
      } else {
        hint.textContent = file.name; // of a kind that the server may know and the browser does not
        hint.hidden = false;
      }
      changed({ file, name: file.name });
    } catch (error) {
      failed(error);
    }
  }

  blank();
}
