// The Ecommerce Bridge: what arrived, by our own ids, and what became of it.
import { body, el, keyValues, list, money, stage, table, time } from "/_sandbox/page_format.js";

const named = o => o.store_id === "default" ? o.external_id : o.store_id + "\t" + o.external_id;
const address = (type, o) => `#bridge/${type}/${encodeURIComponent(named(o))}`;
const link = (type, o) => el("a", { href: address(type, o), dataset: { focus: "cell" + address(type, o) } }, o.name || o.external_id);
const links = (o, type) => list((o.associations[type] || []).map(other => link(type, other)));
const STAGES = { cancelled: [0, 1], shipped: [1, 0], processed: [1, 0] };
const stageOf = o => stage(o.properties.stage, ...(STAGES[o.properties.stage] || []));
const verdict = v => v === "ok" ? el("span", { className: "ok" }, "ok") : v ? el("span", { className: "bad" }, v) : el("span", { className: "soft" }, "waiting");
const changed = ["Changed", o => time(o.changed_at), "time extra"];
const state = ["State", o => o.deleted ? "deleted" : verdict(o.verdict)];

const COLUMNS = {
  CONTACT: [["Id", o => o.external_id, "id"], ["Name", o => [o.properties.firstname, o.properties.lastname].filter(Boolean).join(" ")],
    ["Email", o => o.properties.email], ["City", o => o.properties.city], ["Group", o => o.properties.customer_group], changed, state],
  DEAL: [["Id", o => o.external_id, "id"], ["Order", o => o.properties.name], ["Contact", o => links(o, "CONTACT")], ["Stage", stageOf],
    ["Amount", o => money(o.properties.amount, o.properties.currency), "num"], changed, state],
  PRODUCT: [["Id", o => o.external_id, "id"], ["Name", o => o.properties.name], ["SKU", o => o.properties.sku, "id"],
    ["Price", o => money(o.properties.price), "num"], ["Status", o => o.properties.status], changed, state],
  LINE_ITEM: [["Id", o => o.external_id, "id"], ["Name", o => o.properties.name], ["Quantity", o => Number(o.properties.quantity), "num"],
    ["Amount", o => money(o.properties.amount, o.properties.currency), "num"], ["Deal", o => links(o, "DEAL")],
    ["Product", o => links(o, "PRODUCT")], changed, state],
};
const TITLES = { CONTACT: "Contacts", DEAL: "Deals", PRODUCT: "Products", LINE_ITEM: "Line items" };

const ERRORS = [["When", e => time(e.errored_at), "time"], ["Object", e => [el("span", { className: "soft" }, e.object_type + " "), link(e.object_type, e)]],
  ["Error", e => e.kind], ["Details", e => e.details], ["State", e => el("span", { className: "tag " + (e.resolved ? "ok" : "bad") }, e.resolved ? "resolved" : "open")]];
const REQUESTS = [["When", r => time(r.at_ms), "time"], ["Request", r => r.method + " " + r.what], ["Messages", r => r.messages, "num"],
  ["Bytes", r => r.size.toLocaleString(), "num"], ["Status", r => el("span", { className: r.status >= 200 && r.status < 300 ? "ok" : "bad" }, r.status || "cut")]];

export const bridge = {
  title: "Ecommerce Bridge",
  tabs: { ...TITLES, errors: "Sync errors", requests: "Requests" },
  first: "DEAL",
  command: origin => `magento-cdc run --set sink.kind=bridge --set sink.base_url=${origin} --set sink.api_key=sandbox`,

  line(s) {
    return `${s.accepted.toLocaleString()} messages in ${s.requests.all.toLocaleString()} requests` + (s.waiting ? `, ${s.waiting.toLocaleString()} not validated yet` : "")
      + (s.installed && s.enabled ? "" : " · not installed: run magento-cdc mapping push");
  },

  counts(s) {
    const found = { errors: s.errors.open, requests: s.requests.all };
    for (const [type, c] of Object.entries(s.objects)) found[type] = c.synced + c.deleted + c.never_applied;
    return found;
  },
  alarming: new Set(["errors"]),

  async list(get, tab, q, opened) {
    const is = item => opened === (tab === "requests" ? String(item.number) : named(item));
    if (tab === "errors") {
      const found = await get("/errors?q=" + encodeURIComponent(q));
      return { total: found.errors.length, nodes: [table(ERRORS, found.errors)], key: found };
    }
    if (tab === "requests") {
      const found = await get("/requests?q=" + encodeURIComponent(q));
      return { total: found.requests.length, nodes: [table(REQUESTS, found.requests, r => `#bridge/requests/${r.number}`, is)], key: found };
    }
    const found = await get(`/objects?limit=100&type=${tab}&q=${encodeURIComponent(q)}`);
    return { total: found.total, shown: found.objects.length, key: found,
      nodes: [table(COLUMNS[tab], found.objects, o => address(tab, o), is, o => o.deleted)] };
  },

  async detail(get, tab, id) {
    if (tab === "requests") return request(await get("/requests/" + encodeURIComponent(id)));
    const [store, name] = id.includes("\t") ? id.split("\t") : ["default", id];
    const o = await get(`/objects/${tab}/${encodeURIComponent(name)}?store=${encodeURIComponent(store)}`);
    const parts = [];
    if (o.error && !o.error.resolved) parts.push(el("p", { className: "bad" }, o.error.kind + ": " + o.error.details));
    for (const [type, heading] of Object.entries(TITLES)) {
      const group = [...o.links, ...o.linked_by].filter(other => other.type === type);
      const columns = COLUMNS[type].filter(c => !["Changed", "Contact", "Deal", "Product", "City", "Group"].includes(c[0]));
      if (group.length) parts.push(el("h3", {}, heading), table(columns, group, other => address(type, other)));
    }
    parts.push(el("h3", {}, "Properties"), keyValues(o.properties), el("h3", {}, "As HubSpot holds it"), keyValues(o.hubspot_properties),
      el("h3", {}, "Accepted messages, newest first"));
    for (const m of [...o.history].reverse()) parts.push(el("details", {}, el("summary", {}, `${time(m.changed_at)} · ${m.action} · arrived as number ${m.order.toLocaleString()} · `, verdict(m.verdict)), keyValues(m.properties)));
    const p = o.properties, person = [p.firstname, p.lastname].filter(Boolean).join(" ");
    return { heading: p.name || person || p.email || o.external_id, parts, key: o,
      under: `${o.type} ${o.external_id}` + (o.hubspot_id ? ` · HubSpot id ${o.hubspot_id}` : "") + (o.deleted ? " · deleted: no longer synced" : "") };
  },
};

export function request(r) {
  const rows = Object.entries(r.query || {}).map(([k, v]) => `${k}=${v}`).join("&");
  return { heading: `${r.method} ${r.path || r.what}`, key: r,
    under: `${time(r.at_ms)} · ${r.status || "the connection was cut"}` + (r.took_ms === undefined ? "" : ` · ${r.took_ms.toLocaleString()} ms`) + (rows ? ` · ${rows}` : ""),
    parts: [el("h3", {}, "Body"), body(r.request), el("h3", {}, "Answer"), body(r.answer)] };
}
