// How values are shown, and small helpers that build elements. Nothing here asks the server.

export function el(name, props, ...children) {
  const { dataset, ...rest } = props || {};
  const node = Object.assign(document.createElement(name), rest);
  Object.assign(node.dataset, dataset);
  node.append(...children.flat(2).filter(c => c !== undefined && c !== null && c !== ""));
  return node;
}

export const time = at => {
  const moment = new Date(at);
  return at && !isNaN(moment) ? moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : "";
};

export const day = text => {
  const moment = new Date(text + "T00:00:00Z");
  return isNaN(moment) ? text : moment.toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
};

export function money(value, currency) {
  if (value === undefined || value === "" || isNaN(Number(value))) return value || "";
  if (!currency) return Number(value).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(Number(value));
  } catch { return `${value} ${currency}`; }
}

const MONEY = /(^|_)(amount|price|tax|total|discount|subtotal|refunded|shipping|cost|spent|revenue|value)(_|$)/;
const EPOCH = /^1\d{12}$/;

// The currency of a record, whichever of the two worlds it comes from.
export const currencyOf = p => p.deal_currency_code || p.hs_line_item_currency_code || p.magento_currency || p.currency || "";

// A property's value as a person reads it. `definition`: HubSpot's, where there is one; the bridge sends texts only.
export function shown(name, value, properties, definition) {
  if (value === "" || value === null || value === undefined) return el("span", { className: "soft" }, "(cleared)");
  const kind = definition ? definition.type : "";
  let text = String(value);
  const option = definition && (definition.options || []).find(o => o.value === value);
  if (option) text = option.label;
  else if (kind === "datetime" || (!definition && EPOCH.test(text))) text = time(kind ? text : Number(text));
  else if (kind === "date" || (!kind && /^\d{4}-\d\d-\d\d$/.test(text))) text = day(text);
  else if (kind === "bool") text = value === "true" ? "yes" : "no";
  else if ((kind === "number" || !kind) && MONEY.test(name) && !isNaN(Number(text))) text = money(text, currencyOf(properties));
  return el("span", text === String(value) ? {} : { title: value }, text);
}

export const stage = (text, won, lost) => !text ? "" : el("span", { className: "tag " + (won ? "ok" : lost ? "bad" : "warn") }, text);

export function keyValues(properties, definitions) {
  const rows = Object.entries(properties).map(([name, value]) => {
    const definition = definitions && definitions[name];
    const label = definition && definition.label !== name ? [el("div", {}, definition.label), el("div", { className: "soft" }, name)] : name;
    return el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, shown(name, value, properties, definition)));
  });
  return rows.length ? el("table", { className: "kv" }, el("tbody", {}, rows)) : el("div", { className: "soft" }, "none");
}

// columns: [heading, item → content, class]. `open`: item → address of its detail.
export function table(columns, items, open, isOn, isGone) {
  const head = el("tr", {}, columns.map(c => el("th", { scope: "col", className: c[2] || "" }, c[0])));
  const rows = items.map(item => {
    const row = el("tr", {}, columns.map((c, n) => {
      const content = c[1](item) ?? "";
      const first = n === 0 && open ? el("a", { href: open(item), dataset: { focus: open(item) } }, content === "" ? "(no name)" : content) : content;
      return el("td", { className: c[2] || "", dataset: { column: c[0] } }, first);
    }));
    if (open) {
      row.className = "open" + (isOn && isOn(item) ? " on" : "") + (isGone && isGone(item) ? " gone" : "");
      row.addEventListener("click", event => { if (!event.target.closest("a")) location.hash = open(item); });
    }
    return row;
  });
  return el("table", {}, el("thead", {}, head), el("tbody", {}, rows));
}

export const list = items => items.length > 1 ? el("ul", {}, items.map(i => el("li", {}, i))) : items;

export function body(text) {
  if (!text) return el("div", { className: "soft" }, "empty");
  try { text = JSON.stringify(JSON.parse(text), null, 1); } catch { /* shown as it came */ }
  return el("pre", { tabIndex: 0 }, text);
}
