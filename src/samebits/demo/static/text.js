// A text: typed, pasted, or the content of a file.
import { files, make } from "./elements.js";

export function build(element, { length }, { changed, failed }) {
  const field = make("textarea", { id: "text", rows: 8, spellcheck: false, placeholder: "Type or paste a text" });
  const tell = () => changed(field.value.trim() ? { value: field.value } : null);
  field.addEventListener("input", tell);
  const take = async (file) => {
    try {
      field.value = await file.text();
      tell();
    } catch (error) {
      failed(error);
    }
  };
  const choose = files(element, "text/*,.txt,.md", "Choose a file", take);
  const clear = make("button", { type: "button", onclick: () => { field.value = ""; tell(); field.focus(); } }, "Clear");
  element.append(make("label.unseen", { for: "text" }, "Text"), field,
    make("div.row", {}, clear, choose, make("span.soft.grow", {}, `The model reads up to ${length.toLocaleString("en")} tokens.`)));
}
