// The page: which world, list, search and detail stand in the address (#world/list/id?q=text), so a reload keeps them.
import { el, table, time } from "/_sandbox/page_format.js";
import { bridge } from "/_sandbox/page_bridge.js";
import { crm } from "/_sandbox/page_crm.js";

const API = "/_sandbox", EVERY_MS = 2000, WORLDS = { crm, bridge };
const RULES = [["When", v => time(v.at_ms), "time"], ["Rule", v => el("span", { className: "bad" }, v.rule)],
  ["Object", v => [v.object_type, v.external_id].filter(Boolean).join(" ") || "a request"], ["What was wrong", v => v.text]];
const $ = id => document.getElementById(id);
let at = { world: "", tab: "", id: "", q: "" }, drawn = { list: "", detail: "", nav: "" }, moved = false;

async function get(path) {
  const answer = await fetch(API + path);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

const hash = (world, tab, id, q) => `#${world}/${tab}` + (id ? "/" + encodeURIComponent(id) : "") + (q ? "?q=" + encodeURIComponent(q) : "");

function readAddress(summary) {
  const [path, query] = location.hash.slice(1).split("?");
  const [world, tab, id] = path.split("/");
  const fuller = summary && !summary.crm.calls.all && summary.requests.all ? "bridge" : "crm";
  at.world = WORLDS[world] ? world : fuller;
  const tabs = { ...WORLDS[at.world].tabs, rules: "" };
  at.tab = Object.hasOwn(tabs, tab) ? tab : WORLDS[at.world].first;
  at.id = id && Object.hasOwn(tabs, tab) ? decodeURIComponent(id) : "";
  at.q = new URLSearchParams(query || "").get("q") || "";
}

// Elements are replaced only when they change, and the focus goes to the one that stands for the same thing.
function put(place, nodes, key) {
  if (drawn[place.id] === key) return false;
  const held = place.contains(document.activeElement) && document.activeElement.dataset.focus;
  drawn[place.id] = key;
  place.replaceChildren(...nodes);
  if (held) [...place.querySelectorAll("[data-focus]")].find(n => n.dataset.focus === held)?.focus();
  return true;
}

function drawNav(summary) {
  const world = WORLDS[at.world], broken = Object.values(summary.violations).reduce((a, b) => a + b, 0);
  const counts = { ...world.counts(summary), rules: broken };
  $("line").textContent = world.line(summary);
  const item = (href, title, isHere, count, isBad) => el("a", { href, dataset: { focus: href }, ...(isHere ? { ariaCurrent: "page" } : {}) }, title,
    count === undefined ? "" : el("span", { className: "n" + (isBad && count ? " bad" : "") }, count.toLocaleString()));
  put($("worlds"), Object.entries(WORLDS).map(([name, w]) => item(hash(name, w.first), w.title, name === at.world)), at.world);
  const tabs = { ...world.tabs, rules: "Broken rules" };
  put($("tabs"), Object.entries(tabs).map(([name, title]) => item(hash(at.world, name, "", at.q), title, name === at.tab, counts[name], name === "rules" || world.alarming.has(name))),
    JSON.stringify([at, counts]));
}

function empty(world) {
  if (at.q) return el("div", { className: "empty" }, "Nothing here matches the search.");
  if (at.tab === "rules") return el("div", { className: "empty" }, "No rule of sending was broken.");
  return el("div", { className: "empty" }, "Nothing here yet. These commands fill it:", el("code", {}, world.command(location.origin)), el("code", {}, "magento-cdc demo --serve"));
}

async function rules() {
  const found = await get("/violations"), low = at.q.toLowerCase();
  const items = found.violations.filter(v => !low || JSON.stringify(v).toLowerCase().includes(low)).reverse().slice(0, 200);
  return { total: items.length, nodes: [table(RULES, items)], key: items };
}

async function drawList() {
  const world = WORLDS[at.world], here = { ...at };
  const found = at.tab === "rules" ? await rules() : await world.list(get, at.tab, at.q, at.id);
  if (here.world !== at.world || here.tab !== at.tab) return; // somebody went on meanwhile
  const nodes = found.total ? found.nodes : [empty(world)];
  if (found.total > (found.shown ?? found.total)) nodes.push(el("div", { className: "more" }, `the newest ${found.shown} of ${found.total.toLocaleString()}; search to narrow`));
  put($("list"), nodes, JSON.stringify([at, found.key]));
}

async function drawDetail() {
  const isOpen = Boolean(at.id) && at.tab !== "rules";
  $("detail").hidden = !isOpen;
  $("main").classList.toggle("reading", isOpen);
  if (!isOpen) { drawn.detail = ""; return; }
  const here = at.id, back = hash(at.world, at.tab, "", at.q);
  const close = el("a", { href: back, dataset: { focus: back }, ariaLabel: "Close" }, "✕");
  const toList = el("a", { href: back, className: "back" }, "← back to the list");
  let found;
  try { found = await WORLDS[at.world].detail(get, at.tab, at.id); }
  catch { found = { heading: `${at.id} is not here.`, under: "", parts: [], key: "none" }; }
  if (here !== at.id) return;
  const head = el("div", { className: "top" }, el("div", { className: "grow" }, el("h2", {}, found.heading), el("div", { className: "soft" }, found.under)), close);
  put($("detail"), [toList, head, ...found.parts], JSON.stringify([at, found.key]));
  // On a phone the detail stands where the list was; a reader is taken there, also by the screen reader.
  if (moved) { moved = false; $("detail").focus({ preventScroll: true }); $("detail").scrollTop = 0; if (innerWidth <= 900) scrollTo(0, 0); }
}

async function draw() {
  try {
    const summary = await get("/summary");
    readAddress(summary);
    if (document.activeElement !== $("q")) $("q").value = at.q;
    drawNav(summary);
    await Promise.all([drawList(), drawDetail()]);
  } catch { $("line").textContent = "the sandbox does not answer"; }
}

addEventListener("hashchange", () => { moved = true; draw(); });
$("q").addEventListener("input", () => { history.replaceState(null, "", hash(at.world, at.tab, at.id, $("q").value.trim())); draw(); });
addEventListener("keydown", event => { if (event.key === "Escape" && at.id) location.hash = hash(at.world, at.tab, "", at.q); });
draw();
setInterval(() => { if (!document.hidden) draw(); }, EVERY_MS);
