// The operator's page: asks the daemon every few seconds, and draws what changed. The address (#find/order-42) keeps a look-up.
import { $, age, amount, chart, count, el, forget, put, seconds } from "/page/page_parts.js";
import { details, held, leader, letters, load, outbox, reasons } from "/page/page_lists.js";
import { traces } from "/page/page_trace.js";

const EVERY_MS = 2000, CHARTS_MS = 5000;
let token = "", status = null, waits = null, charts = null, chartsAt = -Infinity;

async function ask(path, body) {
  const options = { cache: "no-store" };
  if (body) {
    const authorization = token ? { Authorization: `Bearer ${token}` } : {};
    Object.assign(options, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...authorization } });
  }
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok && path !== "/status") throw Object.assign(new Error(found.error + (found.hint ? `; ${found.hint}` : "")), { status: answer.status });
  return found;
}

function say(text, isBad) {
  $("said").hidden = !text;
  $("said").className = isBad ? "said bad" : "said ok";
  $("said").textContent = text;
}

async function change(path, body, done) {
  try {
    say(done((await ask(path, body)).count));
  } catch (error) {
    if (error.status === 401) { token = ""; $("token").value = ""; $("admin").hidden = false; }
    say(error.message, true);
  }
  await turn();
}

const retry = choice => change("/page/retry", choice, n => `${count(n)} will be rendered and sent again.`);
const release = (type, n) => change("/page/release", { type, count: n }, done => `${count(done)} deletions are released and will be sent within seconds.`);

function drawHead() {
  const isReady = status.ready, word = isReady ? (status.reasons || []).length ? "ready, with a warning" : "ready" : "not ready";
  if ($("state").textContent !== word) {
    $("state").textContent = word;
    $("state").className = "state " + (isReady ? (status.reasons || []).length ? "warn" : "ok" : "bad");
  }
  document.title = isReady ? "magento-cdc" : "not ready · magento-cdc";
  $("about").textContent = `version ${status.version}, up for ${age(status.started_at)}`;
  const ends = status.ends || {};
  $("ends").textContent = ends.source ? `${ends.source} → ${ends.sink}` : "opening the state and the source";
  put($("reasons"), reasons(status), JSON.stringify([status.ready, status.reasons]));
}

function drawCharts() {
  const s = charts.samples, a = n => amount(n, 2);
  put($("charts"), [
    chart("Read lag", charts, [["", s.read_lag_s]], seconds),
    chart("Accepted a second", charts, [["accepted", s.accepted_per_s], ["row changes read", s.changes_per_s]], a),
    chart("Commit to acceptance", charts, [["median", s.latency_s], ["95 % are faster", s.slow_s]], seconds),
    chart("Outbox", charts, [["", s.outbox]], count),
  ], JSON.stringify(charts));
  const member = status.member || {}, follows = Boolean(member.role) && !["alone", "leader"].includes(member.role);
  $("admin").hidden = follows || !charts.can_change || Boolean(token);
  $("no-changes").hidden = follows || charts.can_change;
  $("follows").hidden = !follows;
  if (follows) $("follows").textContent = `Changes are not possible here: this member does not send (it is ${member.role}), and its state is a copy of the leader's. `
    + (leader(member) ? `The member at ${leader(member)} leads: open its page.` : "Which member leads is not known here at the moment; the page of the member that leads has the buttons.");
  $("changes").hidden = Boolean(token) && !follows;
}

function drawLists() {
  const minute = Math.floor(Date.now() / EVERY_MS / 5), mayChange = Boolean(token) && ["alone", "leader", undefined].includes((status.member || {}).role);
  const sink = (status.delivery || {}).sending || {};
  put($("outbox-body"), outbox(status, waits), JSON.stringify([status.outbox.pending, status.outbox.blocked, sink.state, sink.reason, waits && waits.outbox, status.outbox.total && minute]));
  put($("letters-body"), letters(status, waits, mayChange, retry), JSON.stringify([status.dead_letters, status.bad_records, waits && [waits.dead_letters, waits.bad_records], mayChange]));
  const isHeld = Boolean(waits && waits.held.total);
  $("held").hidden = !isHeld;
  if (isHeld) put($("held-body"), held(waits, mayChange, release), JSON.stringify([waits.held, mayChange]));
  else forget($("held-body"));
  put($("details-body"), details(status), JSON.stringify([status.source, status.position, status.delivery, status.member, status.waiting, status.disk, status.import, status.load, status.stale, status.missing]));
  const pace = charts && charts.first_load;
  $("load").hidden = !(pace && pace.phase);
  if (pace && pace.phase) put($("load-body"), load(pace, status), JSON.stringify([pace, status.first_load, status.load, status.import]));
}

let turning = null;

function turn() {
  turning ??= look().finally(() => { turning = null; });
  return turning;
}

async function look() {
  const isChartDue = performance.now() - chartsAt >= CHARTS_MS || (charts && charts.first_load.phase);
  try {
    status = await ask("/status");
    if (isChartDue) charts = await ask("/page/charts");
  } catch {
    $("state").textContent = "no answer";
    $("state").className = "state bad";
    return;
  }
  drawHead();
  if (isChartDue) {
    chartsAt = performance.now();
    drawCharts();
  }
  if (!status.outbox) return; // the state is not open yet
  const isAny = status.outbox.total || status.dead_letters || status.bad_records;
  try { waits = isAny ? await ask("/page/waiting") : null; } catch { waits = null; } // a relay has no such lists
  drawLists();
}

let asked = "";

async function find(text, isMoved) {
  asked = text;
  $("name").value = text;
  let parts;
  try { parts = traces((await ask("/page/find", { name: text })).found); }
  catch (error) { parts = [el("p", { className: "bad" }, error.message)]; }
  if (asked !== text) return; // somebody went on meanwhile
  $("found").replaceChildren(...parts);
  if (isMoved) { $("look-up").scrollIntoView(); $("found").focus({ preventScroll: true }); }
}

function readAddress(isMoved) {
  const [word, text] = location.hash.slice(1).split("/");
  if (word === "find" && text) find(decodeURIComponent(text), isMoved);
}

$("find").addEventListener("submit", event => {
  event.preventDefault();
  const text = $("name").value.trim(), hash = "#find/" + encodeURIComponent(text);
  if (!text) return;
  // An email address is somebody's: it stands in no address, so in no history of a browser.
  if (text.includes("@") || location.hash === hash) find(text, false);
  else { history.pushState(null, "", hash); find(text, false); }
});
$("admin").addEventListener("submit", event => {
  event.preventDefault();
  token = $("token").value.trim();
  if (!token) return;
  $("token").value = "";
  say("This token goes with every change until the page is closed.");
  drawCharts();
  drawLists();
});
addEventListener("hashchange", () => readAddress(true));
readAddress(true);
await turn();
setInterval(() => { if (!document.hidden) turn(); }, EVERY_MS);
