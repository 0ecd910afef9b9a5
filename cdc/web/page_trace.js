// An object's trace as a time line: what happened in the shop, what was sent, what HubSpot answered, where it is now.
import { amount, el, keyValues, object, record, time } from "/page/page_parts.js";

const step = (kind, text, at, more) => el("li", { className: kind }, el("span", {}, text), at || more ? el("span", { className: "soft" }, at || "", at && more ? " · " : "", more || "") : "");
const BAD = new Set(["dead letter"]), GOOD = new Set(["accepted", "deleted", "gone"]);

function line(found) {
  const steps = [], { rendered, pending, sent, accepted } = found;
  if (rendered) steps.push(step("", rendered.action === "DELETE" ? "Deleted in the shop, or left out by the mapping" : "Changed in the shop and rendered", time(rendered.changed_at), rendered.position ? `at ${rendered.position}` : ""));
  if (pending) steps.push(step("warn", `Waits to be sent (${pending.action}${pending.attempts ? `, ${amount(pending.attempts)} failed attempts` : ""})`, time(pending.rendered_at)));
  if (sent) steps.push(step("", "Sent", time(sent.at)));
  if (sent && sent.answered_at) steps.push(step(sent.answer === "accepted" ? "ok" : "bad", `Answered: ${sent.answer}`, time(sent.answered_at)));
  if (accepted) steps.push(step("ok", accepted.action === "DELETE" ? "HubSpot has accepted the deletion" : "HubSpot holds the version of", time(accepted.changed_at)));
  for (const now of found.where) steps.push(step(BAD.has(now.state) ? "bad" : GOOD.has(now.state) ? "ok" : "warn", `Now: ${now.state}`, "", now.cause));
  return el("ol", { className: "line", ariaLabel: `Time line of ${found.external_id}` }, steps);
}

function one(found) {
  const parts = [el("h3", {}, `${found.external_id} (${found.object_type})`)];
  const link = found.record ? record(found.record.record_link) : "";
  if (found.record) parts.push(el("p", {}, `HubSpot's record ${found.record.record_id} `, link));
  if (!found.exists) parts.push(el("p", { className: "warn" }, found.not_rendered ? `It cannot be rendered: ${found.not_rendered}` : "The shop has no such object now, or the mapping leaves it out."));
  parts.push(line(found));
  for (const text of found.warnings || []) parts.push(el("p", { className: "warn" }, text));
  if ((found.refers_to || []).length) parts.push(el("p", {}, "Refers to ", found.refers_to.map((name, n) => [n ? ", " : "", object(name)])));
  const properties = Object.entries(found.properties || {}).map(([name, value]) => [name, typeof value === "string" ? value || "(empty)" : value ? "set" : "empty"]);
  if (properties.length) parts.push(el("details", {}, el("summary", {}, `Properties (${amount(properties.length)})`), keyValues(`Properties of ${found.external_id}`, properties)));
  const rows = (found.rows || []).map(row => [`${row.table} ${row.key.join(", ")}`, `as of ${row.position}`]);
  if (rows.length) parts.push(el("details", {}, el("summary", {}, `Rows that it is made of (${amount(rows.length)})`), keyValues(`Rows of ${found.external_id}`, rows)));
  return parts;
}

export const traces = found => found.flatMap(one);
