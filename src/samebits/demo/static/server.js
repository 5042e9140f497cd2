// Questions to the server. The token, if it asks for one, is kept in this variable alone.
let token = "";

/** What cannot be answered, with what the server says about it. */
export class Problem extends Error {}

/** The response to a request; asks for a token where one is needed. */
async function response(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    let found;
    try {
      found = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The server does not answer. Is it still running?");
    }
    if (found.status === 401) {
      await askForToken();
      continue;
    }
    if (!found.ok) {
      const said = await found.json().catch(() => ({}));
      throw new Problem(said.error ?? `The server answers ${found.status}.`);
    }
    return found;
  }
}

let asking = null;

function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const field = document.getElementById("token-value");
    field.value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => { token = field.value.trim(); asking = null; resolve(); }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** JSON of a GET. */
export async function get(path) {
  return (await response(path)).json();
}

/**
 * JSON of a POST that holds one sample: {value} as JSON, or {file, name} as a form sends it.
 * @param {number} [top] classes to give
 */
export async function ask(path, sample, { top, signal } = {}) {
  if (sample.file) {
    const body = new FormData();
    body.append("files", sample.file, sample.name);
    if (top) body.append("top", top);
    return (await response(path, { method: "POST", body, signal })).json();
  }
  const body = JSON.stringify({ inputs: [sample.value], ...(top && { top }) });
  return (await response(path, { method: "POST", body, signal, headers: { "Content-Type": "application/json" } })).json();
}

/** Pieces of a text as the language model writes them. */
export async function* write(prompt, signal) {
  const found = await response("generate", {
    method: "POST", signal, body: JSON.stringify(prompt), headers: { "Content-Type": "application/json" },
  });
  const reader = found.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = JSON.parse(event.slice(event.indexOf("data: ") + 6));
      if (data.error) throw new Problem(data.error);
      if (data.text) yield data.text;
    }
  }
}
