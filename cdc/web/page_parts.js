// Elements, numbers, times, tables and charts. Nothing here asks the server.
// All text goes through text nodes: what the shop or HubSpot wrote is never read as HTML.

const RECORD = /^https:\/\/app\.hubspot\.com\/contacts\/[\w/-]+$/;
const SVG = "http://www.w3.org/2000/svg";
const drawn = new Map();

export const $ = id => document.getElementById(id);

export function el(name, props, ...children) {
  const { dataset, ...rest } = props || {};
  const node = Object.assign(document.createElement(name), rest);
  Object.assign(node.dataset, dataset);
  node.append(...children.flat(2).filter(c => c !== undefined && c !== null && c !== ""));
  return node;
}

// Elements are replaced only when they change, and the focus goes to the one that stands for the same thing.
export function put(place, nodes, key) {
  if (drawn.get(place.id) === key) return;
  const held = place.contains(document.activeElement) && document.activeElement.dataset.focus;
  drawn.set(place.id, key);
  place.replaceChildren(...nodes);
  if (held) [...place.querySelectorAll("[data-focus]")].find(n => n.dataset.focus === held)?.focus();
}

export const forget = place => drawn.delete(place.id);
export const count = n => Number(n).toLocaleString("en");
export const amount = (n, digits = 1) => Number(n).toLocaleString("en", { maximumFractionDigits: Math.abs(n) >= 100 ? 0 : digits });

export function seconds(s) {
  if (s === null || s === undefined || isNaN(s)) return "…";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${amount(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${amount(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export function bytes(n) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1000; at++; }
  return `${amount(n)} ${units[at]}`;
}

export function time(at) {
  const moment = new Date(at);
  if (!at || isNaN(moment)) return "";
  return el("time", { dateTime: moment.toISOString() }, moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }));
}

export const age = at => at ? seconds(Math.max(0, Math.round((Date.now() - new Date(at)) / 1000))) : "";

// Commands stand between backticks in sentences for people.
export const withCode = text => String(text).split("`").map((part, n) => n % 2 ? el("code", {}, part) : part);

export const object = name => el("a", { href: "#find/" + encodeURIComponent(name), dataset: { focus: "object" + name } }, name);

export const record = link => RECORD.test(link || "") ? el("a", { href: link, rel: "noreferrer", target: "_blank" }, "open in HubSpot") : "";

// columns: [heading, item → content, class]; the first cell names its row.
export function table(caption, columns, items) {
  const head = el("tr", {}, columns.map(c => el("th", { scope: "col", className: c[2] || "" }, c[0])));
  const rows = items.map(item => el("tr", {}, columns.map((c, n) => {
    const cell = el(n ? "td" : "th", { className: c[2] || "", dataset: { label: c[0] } }, c[1](item));
    if (!n) cell.scope = "row";
    return cell;
  })));
  return el("table", { className: "cards", ariaLabel: caption }, el("thead", {}, head), el("tbody", {}, rows));
}

export function keyValues(caption, pairs) {
  const rows = pairs.filter(([, v]) => v !== "" && v !== undefined && v !== null)
    .map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", { className: "kv", ariaLabel: caption }, el("tbody", {}, rows));
}

function shape(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

// Minute 0 is an hour ago. A hole in the samples is a hole in the line.
function path(at, values, now, span, most, every) {
  let text = "", before = -Infinity;
  values.forEach((value, n) => {
    if (value === null) return;
    const x = (1 - (now - at[n]) / span) * 360;
    if (x < 0) return;
    const y = 82 - value / most * 76;
    text += (at[n] - before > every * 3000 ? `M${x.toFixed(1)} ${y.toFixed(1)}h.01` : `L${x.toFixed(1)} ${y.toFixed(1)}`);
    before = at[n];
  });
  return text;
}

// lines: [name, values]; shown: number → text.
export function chart(title, held, lines, shown) {
  const at = held.samples.at_ms, span = held.kept * held.every_s * 1000;
  const seen = lines.flatMap(([, values]) => values).filter(v => v !== null);
  const highest = seen.length ? Math.max(...seen) : 0, most = highest || 1;
  const last = values => { const known = values.filter(v => v !== null); return known.length ? known[known.length - 1] : null; };
  const newest = last(lines[0][1]);
  const now = newest === null ? "no figures yet" : shown(newest);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 360 84");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", seen.length ? `${title} over the last hour: now ${now}, highest ${shown(highest)}` : `${title}: no figures yet`);
  for (const y of [6, 44]) shape("line", { x1: 0, x2: 360, y1: y, y2: y }, svg);
  lines.forEach(([, values], n) => shape("path", { d: path(at, values, held.now_ms, span, most, held.every_s), class: n ? "second" : "first" }, svg));
  const keys = lines.length > 1 ? lines.map(([name], n) => el("span", { className: n ? "key second" : "key" }, name)) : [];
  return el("figure", {}, el("figcaption", {}, el("span", {}, title), el("b", {}, now), keys), svg,
    el("div", { className: "axis" }, el("span", {}, "1 h ago"), el("span", {}, seen.length ? `highest ${shown(highest)}` : "the first point comes after ten seconds"), el("span", {}, "now")));
}
