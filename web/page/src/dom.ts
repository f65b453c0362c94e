/** Elements, made and found. Text is always text: nothing here reads HTML. */

type Value = string | number | boolean | null | undefined | ((event: Event) => void);

/** Make an element; functions are listeners, `true` is an attribute without a value, `false` and null are none. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, Value> = {},
  ...children: (Node | string | null)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element of that id, which the page's HTML holds. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the kind is what index.html says
export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as Kind;
}

/** Call `work` on a click. */
export function onClick(id: string, work: () => unknown): void {
  byId(id).addEventListener("click", () => void work());
}

/** Let the browser ask before the page is left while something would be lost. */
export function askBeforeLeaving(wouldBeMissed: () => boolean): void {
  addEventListener("beforeunload", (event) => {
    if (wouldBeMissed()) event.preventDefault();
  });
}

const said = new WeakMap<HTMLElement, string>();

/** Write a text that is another one than the last: screen readers read what is written, and the browser may have translated it. */
export function say(place: HTMLElement, text: string): void {
  if (said.get(place) === text) return;
  said.set(place, text);
  place.textContent = text;
}

const hadFocus = new WeakSet<HTMLElement>();

/** Switch a control on or off; one that was switched off under the keyboard's hand gets the focus back. */
export function enable(control: HTMLElement, isEnabled: boolean): void {
  if (!isEnabled && document.activeElement === control) hadFocus.add(control);
  control.toggleAttribute("disabled", !isEnabled);
  const isFree = document.activeElement === document.body || document.activeElement === control;
  if (isEnabled && hadFocus.delete(control) && isFree) control.focus({ preventScroll: true });
}

/** Fill a <select> with values and their names, and choose one where it is among them. */
export function fillSelect(select: HTMLSelectElement, options: readonly [string, string][], chosen: string): void {
  select.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** Let the browser save a text, or bytes, as a file. */
export function download(content: BlobPart, name: string, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000); // an iPhone first asks whether to save it
}

/** A table whose first column heads its rows. */
export function table(caption: string, columns: readonly string[], rows: readonly (readonly (Node | string)[])[]): HTMLTableElement {
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const body = rows.map(([first, ...rest]) =>
    h("tr", {}, h("th", { scope: "row" }, first), ...rest.map((cell) => h("td", {}, cell))),
  );
  return h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, ...body));
}

/** A wide table in a place of its own that scrolls, also by keyboard. */
export function scrolling(inside: HTMLTableElement): HTMLElement {
  return h("div", { class: "scrolling", tabindex: 0, role: "region", "aria-label": inside.caption?.textContent ?? "Table" }, inside);
}
