// A row of a table: a field for each column, filled with what is typical.
import { make } from "./elements.js";

export function build(element, { columns }, { changed }) {
  const fields = columns.map((column, place) => (column.values ? choice : column.date ? date : number)(column, `column-${place}`));
  const tell = () => changed({ value: Object.fromEntries(columns.map((column, place) => [column.name, fields[place].value()])) });
  element.append(make("div.fields", {}, ...fields.map((each) => each.element)));
  const reset = make("button", { type: "button", onclick: () => { for (const each of fields) each.reset(); tell(); } }, "Typical row");
  element.append(make("div.row", {}, reset, make("span.soft.grow", {}, "An empty field is a missing cell.")));
  element.addEventListener("input", tell);
  for (const each of fields) each.reset();
  tell();
}

const labelled = (column, id, ...rest) => make("div.field", {}, make("label", { for: id, title: column.name }, column.name), ...rest);
const shown = (value) => String(Number(value.toPrecision(5)));

/** With the range of the training data as a slider. */
function number(column, id) {
  const field = make("input", { id, type: "number", step: "any", placeholder: "missing" });
  const rest = [field];
  let slider;
  if (column.low < column.high) {
    const whole = [column.low, column.high, column.typical].every(Number.isInteger) && column.high - column.low >= 1;
    slider = make("input", { type: "range", min: column.low, max: column.high,
      step: whole ? 1 : (column.high - column.low) / 200, tabIndex: -1, "aria-hidden": "true" });
    slider.addEventListener("input", () => { field.value = shown(Number(slider.value)); });
    field.addEventListener("input", () => { slider.value = field.value; });
    rest.push(slider, make("small", {}, make("span", {}, shown(column.low)), make("span", {}, shown(column.high))));
  }
  const reset = () => {
    field.value = shown(column.typical);
    if (slider) slider.value = column.typical;
  };
  return { element: labelled(column, id, ...rest), value: () => (field.value === "" ? null : Number(field.value)), reset };
}

function choice(column, id) {
  const field = make("select", { id }, ...column.values.map((each) => make("option", { value: each }, each)),
    make("option", { value: "" }, "missing"));
  return { element: labelled(column, id, field), value: () => field.value || null, reset: () => { field.selectedIndex = 0; } };
}

function date(column, id) {
  const field = make("input", { id, type: "text", placeholder: `as ${column.date}` });
  return { element: labelled(column, id, field), value: () => field.value.trim() || null, reset: () => { field.value = column.date; } };
}
