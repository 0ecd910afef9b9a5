// What waits, what is set aside and what is held; and the table of details. Pure: data in, elements out.
import { age, amount, bytes, count, el, keyValues, object, record, seconds, table, time, withCode } from "/page/page_parts.js";

const TITLES = { CONTACT: "Contacts", PRODUCT: "Products", DEAL: "Deals", LINE_ITEM: "Line items", CART: "Carts" };
export const title = type => TITLES[type] || type;
const more = (list, command) => list.total > list.shown.length
  ? el("p", { className: "soft note" }, `${count(list.shown.length)} of ${count(list.total)}; `, el("code", {}, command), " shows all") : "";

export function reasons(status) {
  const all = status.reasons || [];
  if (!all.length) return [];
  const side = status.ready ? "reasons warn-side" : "reasons bad-side";
  return [el("div", { className: side }, el("ul", {}, all.map(text => el("li", {}, withCode(text)))))];
}

// The circuit breaker's two states are ours; all others are the receiver's.
const heldUp = state => ["deletes", "dead_letters"].includes(state) ? `the circuit breaker holds messages back (${state})` : `the receiver takes no messages (${state})`;

export function outbox(status, waits) {
  const box = status.outbox || {}, pending = box.pending || {};
  const rows = Object.entries(pending).map(([type, n]) => ({ type, ...n, oldest: waits && waits.outbox.oldest[type] }));
  if (!box.total) return [el("p", { className: "soft" }, "Nothing waits to be sent.")];
  const parts = [table("Messages by type", [["Type", r => title(r.type)], ["Live", r => count(r.live), "num"],
    ["History", r => count(r.history), "num"], ["Oldest has waited", r => age(r.oldest), "num"]], rows.filter(r => r.live || r.history))];
  const sending = (status.delivery || {}).sending || {};
  const words = [sending.state && sending.state !== "ok" ? `${heldUp(sending.state)}; the reason stands at the top of this page` : "", box.blocked ? `${count(box.blocked)} wait for another object` : "", box.held ? `${count(box.held)} deletions are held` : ""];
  parts.push(el("p", { className: "soft note" }, words.filter(Boolean).join("; ") || "All of them wait for nothing but their turn."));
  const shown = waits ? waits.outbox.shown : [];
  if (shown.length) parts.push(el("h3", {}, "Not ready to be sent, the oldest first"), table("Waiting messages", [["Object", w => object(w.object)],
    ["Waits", w => age(w.since), "num"], ["Attempts", w => count(w.attempts), "num"], ["Waits for", w => w.waits_for]], shown.slice(0, 20)));
  if (shown.length > 20) parts.push(el("p", { className: "soft note" }, "the oldest 20; ", el("code", {}, "magento-cdc outbox list"), " shows all"));
  return parts;
}

export function letters(status, waits, mayChange, retry) {
  const found = waits ? waits.dead_letters : { total: 0, shown: [] }, bad = waits ? waits.bad_records : { total: 0, shown: [] };
  if (!status.dead_letters && !status.bad_records) return [el("p", { className: "soft" }, "No dead letters: all that was sent was taken.")];
  const columns = [["Object", l => object(l.object)], ["Since", l => time(l.since), "time"], ["Reason", l => el("span", { className: "bad" }, l.reason)],
    ["What to do", l => [l.advice || [el("code", {}, "magento-cdc deadletter show " + l.object), " shows what was said of it"], l.detail ? el("div", { className: "soft" }, l.detail) : ""]], ["Record", l => record(l.record_link)]];
  if (mayChange) columns.push(["Send again", l => el("button", { type: "button", className: "small", ariaLabel: `Send ${l.object} again`, dataset: { focus: "retry" + l.object }, onclick: () => retry({ objects: [l.object] }) }, "Send again")]);
  const parts = [];
  if (found.shown.length) parts.push(table("Dead letters, the newest first", columns, found.shown), more(found, "magento-cdc deadletter list"));
  const reasons = [...new Set(found.shown.map(l => l.reason))];
  if (mayChange && found.total > 1) parts.push(el("p", { className: "row note" }, reasons.map(reason =>
    el("button", { type: "button", dataset: { focus: "reason" + reason }, onclick: () => retry({ reason }) }, `Send all with reason ${reason} again`))));
  if (bad.shown.length) parts.push(el("h3", {}, "Records of topics that could not be read"), table("Unread records",
    [["Record", r => r.record], ["Since", r => time(r.since), "time"], ["Reason", r => r.reason]], bad.shown), more(bad, "magento-cdc deadletter list"));
  return parts;
}

export function held(waits, mayChange, release) {
  const found = waits.held;
  const parts = [el("p", {}, Object.entries(found.by_type).map(([type, n]) => `${title(type)}: ${count(n)}`).join(", "),
    ". Deleted in the shop, or left out by mapping.filter since then. If the deletions are right, release them; else mend the cause, and they disappear by themselves.")];
  if (mayChange) parts.push(releaseForm(found, release));
  parts.push(el("details", {}, el("summary", {}, "Which objects"), table("Held deletions, the oldest first",
    [["Object", h => object(h.object)], ["Since", h => time(h.since), "time"], ["Position in the log", h => h.position]], found.shown), more(found, "magento-cdc deletes list")));
  return parts;
}

// The number is to be typed: a deletion in HubSpot cannot be taken back, and a click is given too easily.
function releaseForm(found, release) {
  const types = [["", found.total, "all"], ...Object.entries(found.by_type).map(([type, n]) => [type.toLowerCase(), n, title(type).toLowerCase()])];
  const choice = el("select", { id: "release-type", dataset: { focus: "release-type" } }, types.map(([value, n, name]) => el("option", { value }, `${name} (${count(n)})`)));
  const typed = el("input", { type: "text", id: "release-count", inputMode: "numeric", autocomplete: "off", dataset: { focus: "release-count" } });
  const button = el("button", { type: "submit", dataset: { focus: "release" } }, "Delete in HubSpot");
  const form = el("form", {}, el("label", { htmlFor: "release-type" }, "Release"), el("span", { className: "row" }, choice),
    el("label", { htmlFor: "release-count" }, "Type the number of deletions to go on"), el("span", { className: "row" }, typed, button));
  form.addEventListener("submit", event => {
    event.preventDefault();
    release(choice.value, Number(typed.value.replaceAll(",", "")) || 0);
  });
  return form;
}

export const waitsFor = status => (status.load || {}).waits_for || ((status.import || {}).is_paused ? "paused; `magento-cdc import resume` goes on" : "");

export function load(pace, status) {
  const words = { load: "reading tables", render: "making messages", send: "sending" };
  const done = pace.expected ? Math.min(1, pace.done / pace.expected) : 0;
  const text = `${words[pace.phase] || pace.phase}: ${count(pace.done)} of ${pace.expected ? count(pace.expected) : "an unknown number of"} ${pace.phase === "load" ? "rows" : "objects"}`
    + (pace.expected ? ` (${Math.floor(done * 100)} %)` : "") + (pace.per_s ? `, ${amount(pace.per_s)} a second` : "")
    + (pace.left_s !== null ? `, about ${seconds(pace.left_s)} left of this step` : "");
  const bar = el("progress", { max: 1, ariaLabel: "First load" });
  if (pace.expected) bar.value = done;
  const why = waitsFor(status), stands = why ? el("p", { className: "warn-side reasons" }, "Waits: ", withCode(why)) : "";
  const objects = Object.entries((status.first_load || {}).objects || {}).map(([type, o]) => ({ type, ...o }));
  return [el("p", {}, text), bar, stands, objects.length && pace.phase !== "load" ? table("First load by type", [["Type", o => title(o.type)],
    ["Rendered", o => count(o.rendered), "num"], ["Accepted", o => count(o.done), "num"], ["Expected", o => count(o.expected), "num"]], objects) : ""].filter(Boolean);
}

const place = m => m.host ? `${m.host} (${m.address})` : m.address;

export function leader(member) {
  const found = (member.members || []).find(m => m.leads);
  return found ? place(found) : "";
}

function members(member) {
  if (!member.role || member.role === "alone") return "";
  if (member.members_fault) return "not known: " + member.members_fault;
  return (member.members || []).map(m => el("div", {}, place(m) + (m.leads ? ", leads" : ", follows") + (m.is_us ? ", this member" : "")));
}

const sum = value => typeof value === "number" ? value : Object.values(value || {}).reduce((total, below) => total + sum(below), 0);

export function details(status) {
  const source = status.source || {}, delivery = status.delivery || {}, member = status.member || {}, disk = status.disk || {};
  const verify = delivery.verify || {}, job = status.import || {}, waiting = status.waiting || {};
  const quota = Object.entries(delivery.quota || {}).map(([name, q]) => typeof q.daily_remaining === "number" ? `${name}: ${count(q.daily_remaining)} of ${count(q.daily_limit)} left today` : "").filter(Boolean);
  const drift = Object.entries(verify.counts || {}).filter(([, n]) => n).map(([name, n]) => `${count(n)} ${name.replaceAll("_", " ")}`);
  const stale = Object.entries((status.stale || {}).reasons || {}).map(([name, why]) => el("div", {}, `${name}: ${why}`));
  return [keyValues("Details", [
    ["Source", source.state + (source.silence_s > 5 ? `, last sign of life ${seconds(source.silence_s)} ago` : "")],
    ["Position", el("code", {}, status.position || "none yet")],
    ["GTID", status.gtid ? el("code", {}, status.gtid) : ""],
    ["Server keeps our log for", source.retention_left_h !== null && source.retention_left_h !== undefined ? seconds(source.retention_left_h * 3600) : ""],
    ["Member", member.role === "alone" || !member.role ? "alone" : member.role + (member.leader_is_us ? ", this member sends" : "") + `, generation ${count(member.generation || 0)}`],
    ["Members", members(member)],
    ["Reading of tables waits", waitsFor(status) && withCode(waitsFor(status))],
    ["Sink", !delivery.sending ? "" : delivery.sending.state === "ok" ? "takes messages" : heldUp(delivery.sending.state)],
    ["Accepted since the start", delivery.accepted ? `messages: ${count(sum(delivery.accepted))}, requests: ${count(sum(delivery.requests))}` : ""],
    ["Calls left", quota.join("; ")],
    ["To be rendered", waiting.objects === undefined ? "" : count(waiting.objects) + (waiting.bulk_invalidations ? `, and ${count(waiting.bulk_invalidations)} bulk invalidations` : "")],
    ["Import", job.is_open ? `${job.is_paused ? "paused" : "under way"}, ${count(sum(job.rendered))} objects rendered` : job.is_paused ? "paused" : ""],
    ["Drift, newest sample", drift.length ? drift.join(", ") : "verify.every_h is off, or no sample was taken yet"],
    ["Tables read again", stale.length ? stale : ""],
    ["Not in the shop any more", (status.missing || []).join(", ")],
    ["State on disk", disk.state_bytes === undefined ? "" : `${bytes(disk.state_bytes)}, its log ${bytes(disk.wal_bytes)}, ${bytes(disk.free_bytes)} free`],
    ["Started", time(status.started_at)],
  ])];
}
