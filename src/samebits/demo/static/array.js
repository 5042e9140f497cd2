// An array: the .npy file as it is.
import { files, make } from "./elements.js";

export function build(element, { shape, dtype }, { changed }) {
  const name = make("p", {}, "Drop a .npy file here");
  const box = make("div.drop", {}, name, make("p.soft", {}, `one array ${dtype} [${shape.join(", ")}]`));
  const take = (file) => {
    name.textContent = file.name;
    changed({ file, name: file.name });
  };
  box.append(files(box, ".npy", "Choose a file", take));
  element.append(box);
}
