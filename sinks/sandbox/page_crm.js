// The CRM API: records with their keys, addresses and associations.
import { currencyOf, el, keyValues, list, money, shown, stage, table, time } from "/_sandbox/page_format.js";
import { request } from "/_sandbox/page_bridge.js";

const TAB_OF = { CONTACT: "contacts", DEAL: "deals", PRODUCT: "products", LINE_ITEM: "line_items", CART: "carts" };
const TITLES = { contacts: "Contacts", deals: "Deals", products: "Products", line_items: "Line items", carts: "Carts" };
const address = o => `#crm/${TAB_OF[o.type]}/${o.id}`;
const link = o => el("span", {}, el("a", { href: address(o), dataset: { focus: "cell" + address(o) } }, o.name), (o.labels || []).length ? el("span", { className: "soft" }, ` ${o.labels.join(", ")}`) : "");
const links = (o, type) => list(o.associations.filter(other => other.type === type).map(link));
const value = (o, name) => o.properties[name] === undefined ? "" : shown(name, o.properties[name], o.properties, definitions[o.type][name]);
const changed = ["Changed", o => time(o.updated_at), "time extra"];
const keys = ["Key", o => list(Object.values(o.keys)), "id extra"];
const person = o => [o.properties.firstname, o.properties.lastname].filter(Boolean).join(" ") || o.emails[0];
const stageOf = o => {
  const option = (definitions.DEAL.dealstage.options || []).find(s => s.value === o.properties.dealstage);
  return stage(option ? option.label : o.properties.dealstage, o.properties.hs_is_closed_won === "true", o.properties.hs_is_closed === "true" && o.properties.hs_is_closed_won !== "true");
};

let definitions = null;

const COLUMNS = {
  contacts: [["Name", person], ["Emails", o => list(o.emails)], keys, ["City", o => o.properties.city], ["Deals", o => links(o, "DEAL")], changed],
  deals: [["Deal", o => o.properties.dealname], ["Contact", o => links(o, "CONTACT")], ["Stage", stageOf],
    ["Amount", o => money(o.properties.amount, currencyOf(o.properties)), "num"],
    ["Lines", o => o.associations.filter(a => a.type === "LINE_ITEM").length, "num"], ["Closed", o => value(o, "closedate"), "time extra"], keys, changed],
  products: [["Name", o => o.properties.name], ["SKU", o => o.properties.hs_sku, "id"], ["Price", o => money(o.properties.price), "num"], keys, changed],
  line_items: [["Name", o => o.properties.name], ["Quantity", o => Number(o.properties.quantity), "num"], ["Amount", o => money(o.properties.amount, currencyOf(o.properties)), "num"],
    ["Deal", o => list(o.associations.filter(a => a.type === "DEAL" || a.type === "CART").map(link))], ["Product", o => o.product ? link(o.product) : ""], keys, changed],
  carts: [["Cart", o => o.properties.hs_cart_name], ["Contact", o => links(o, "CONTACT")], ["Status", o => o.properties.hs_external_status],
    ["Amount", o => money(o.properties.hs_total_price, currencyOf(o.properties)), "num"],
    ["Lines", o => o.associations.filter(a => a.type === "LINE_ITEM").length, "num"], ["Deal", o => links(o, "DEAL")], keys, changed],
};
const REQUESTS = [["When", r => time(r.at_ms), "time"], ["Request", r => `${r.method} ${r.path}`], ["Inputs", r => r.inputs, "num"],
  ["Time", r => `${r.took_ms.toLocaleString()} ms`, "num"], ["Status", r => el("span", { className: r.status >= 200 && r.status < 300 && r.status !== 207 ? "ok" : r.status === 207 ? "warn" : "bad" }, r.status || "cut")]];

export const crm = {
  title: "CRM API",
  tabs: { ...TITLES, requests: "Requests" },
  first: "deals",
  command: origin => `magento-cdc run --set sink.kind=crm --set sink.base_url=${origin} --set sink.access_token=sandbox`,

  line(s) {
    const used = s.crm.quotas.objects;
    return `${(s.crm.calls.all || 0).toLocaleString()} calls` + (used.daily ? `, ${used.used_today.toLocaleString()} of ${used.daily.toLocaleString()} of this day's quota` : "");
  },
  counts: s => ({ ...s.crm.records, requests: s.crm.calls.all || 0 }),
  alarming: new Set(),

  async list(get, tab, q, opened) {
    const is = item => opened === String(tab === "requests" ? item.number : item.id) || opened === item.key;
    if (tab === "requests") {
      const found = await get("/crm/requests?q=" + encodeURIComponent(q));
      return { total: found.requests.length, nodes: [table(REQUESTS, found.requests, r => `#crm/requests/${r.number}`, is)], key: found };
    }
    definitions = await get("/crm/definitions");
    const found = await get(`/crm/records?limit=100&type=${tab}&q=${encodeURIComponent(q)}`);
    return { total: found.total, shown: found.records.length, key: found, nodes: [table(COLUMNS[tab], found.records, address, is)] };
  },

  async detail(get, tab, id) {
    if (tab === "requests") return request(await get("/crm/requests/" + encodeURIComponent(id)));
    definitions = await get("/crm/definitions");
    const o = await get(`/crm/records/${tab}/${encodeURIComponent(id)}`);
    const parts = [];
    if (o.emails.length) parts.push(el("h3", {}, "Email addresses"), list(o.emails.map((e, n) => el("span", {}, e, el("span", { className: "soft" }, n ? " additional" : " primary")))));
    if (Object.keys(o.keys).length) parts.push(el("h3", {}, "Keys"), keyValues(o.keys, definitions[o.type]));
    for (const [type, name] of Object.entries(TAB_OF)) {
      const group = o.linked.filter(other => other.type === type);
      const columns = COLUMNS[name].filter(c => !["Changed", "Key", "Closed", "City", "Deals", "Contact", "Deal", "Product", "Lines"].includes(c[0]) || c[0] === COLUMNS[name][0][0]);
      if (group.length) parts.push(el("h3", {}, TITLES[name]), table(columns, group, address));
    }
    parts.push(el("h3", {}, "Properties"), keyValues(o.properties, definitions[o.type]), el("h3", {}, "Changes, newest first"));
    for (const c of o.changes) parts.push(el("details", {}, el("summary", {}, `${time(c.at_ms)} · ${c.source === "API" ? "by the API" : "by hand"} · ${Object.keys(c.values).length} properties`), keyValues(c.values, definitions[o.type])));
    const merged = o.merged_ids.length ? ` · merged from ${o.merged_ids.join(", ")}` : "";
    return { heading: o.name, parts, key: o, under: `record ${o.id}${merged}${o.archived ? " · in the recycle bin" : ""}` };
  },
};
