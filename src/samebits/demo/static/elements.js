/**
 * An element: make("p.soft", {id: "x", onclick: f}, "text", child, ...). Text is never read as HTML.
 * Properties with a hyphen or role are attributes.
 */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Takes one file that is dropped on an element or pasted anywhere, or chosen with the button that is given back. */
export function files(element, accept, text, take) {
  const field = make("input", { type: "file", accept, hidden: true });
  field.onchange = () => { if (field.files[0]) take(field.files[0]); field.value = ""; };
  const dropped = (event) => [...(event.dataTransfer?.items ?? [])].some((each) => each.kind === "file");
  element.addEventListener("dragover", (event) => {
    if (!dropped(event)) return;
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files?.[0];
    if (file) { event.preventDefault(); take(file); }
  });
  element.append(field);
  return make("button", { type: "button", onclick: () => field.click() }, text);
}

/** One at a time: while `work` runs, only the newest of what else comes is kept. */
export function newest(work) {
  let running = false;
  let next;
  return async function push(...given) {
    next = given;
    if (running) return;
    running = true;
    while (next) {
      const now = next;
      next = undefined;
      await work(...now);
    }
    running = false;
  };
}
