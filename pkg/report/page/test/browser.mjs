// Opens reports that the Go program wrote in Chromium, and uses them.
//
//   node test/browser.mjs DIRECTORY-OF-PAGES DIRECTORY-FOR-SCREENSHOTS
//
// CHROMIUM names another program than /usr/bin/chromium.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [pages, shots] = process.argv.slice(2).map((path) => resolve(path));
assert.ok(pages && shots, "usage: node test/browser.mjs PAGES SCREENSHOTS");
mkdirSync(shots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const profile = mkdtempSync(join(tmpdir(), "report-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  timezoneId: "Asia/Tokyo",
  permissions: ["clipboard-read", "clipboard-write"],
});
context.setDefaultTimeout(60_000);

let failed = 0;

// test runs one test with a page. It fails if the page logs an error or
// requests anything but its file, unless the test returns true.
async function test(name, file, { width = 1024, height = 900, ...media }, run) {
  const page = await context.newPage();
  const problems = [];
  const url = pathToFileURL(join(pages, `${file}.html`)).href;
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && problems.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
  page.on("dialog", (d) => (problems.push(`dialog: ${d.message()}`), d.dismiss()));
  page.on("request", (r) => r.url() !== url && r.url() !== "data:," && problems.push(`request: ${r.url()}`));
  try {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: "light", ...media });
    await page.addInitScript(() => {
      window.longTasks = [];
      new PerformanceObserver((l) => window.longTasks.push(...l.getEntries().map((e) => e.duration))).observe({
        type: "longtask",
        buffered: true,
      });
    });
    await page.goto(url);
    await page.locator("html[data-ready]").waitFor({ state: "attached" });
    const expected = await run(page);
    assert.deepEqual(expected ? [] : problems, [], "problems of the page");
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}\n${error.stack ?? error}`);
    await page.screenshot({ path: join(shots, `failed-${name.replace(/\W+/g, "-")}.png`) }).catch(() => {});
  } finally {
    await page.close();
  }
}

// accessible fails if axe finds something serious or critical.
async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const found = violations
    .filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).slice(0, 3).join("; ")}`);
  assert.deepEqual(found, [], "accessibility");
}

// overflow returns how far the page is wider than its window.
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
const rows = (page) => page.locator(".row[data-row]").count();

for (const width of [375, 1024, 1600]) {
  for (const colorScheme of width === 1024 ? ["light", "dark"] : ["light"]) {
    for (const file of ["incident", "gap", "deleted", "hostile", "large"]) {
      await test(`${file} at ${width} ${colorScheme}`, file, { width, colorScheme }, async (page) => {
        assert.ok((await overflow(page)) <= 0, `the page is ${await overflow(page)} px too wide`);
        await page.screenshot({ path: join(shots, `${file}-${width}-${colorScheme}.png`), fullPage: file !== "large" });
        await accessible(page);
      });
    }
  }
}

await test("parts are in order, what is not recorded first", "gap", {}, async (page) => {
  const titles = await page.locator("h2:visible").allTextContents();
  assert.deepEqual(
    titles.filter((t) => t !== "Ready pods"),
    ["What is not recorded", "What is wrong", "Timeline", "Changes", "Before and after", "Deleted objects", "Writers"],
  );
  assert.match(await page.locator("#coverage").textContent(), /Gap: .* were not observed from/);
  assert.ok((await page.locator(".chart .gap").count()) > 0, "the chart has no gap");
  assert.equal(await page.locator("main").count(), 1);
});

await test("rules that match come first", "deleted", {}, async (page) => {
  assert.equal(await page.locator("h2:visible").first().textContent(), "Rules");
  assert.match(await page.locator("#rules").textContent(), /✗ 1 of 2 rules match a change:.*verb == "delete".*Older changes match, too\./s);
  assert.ok((await page.locator("#rules li code").count()) > 0, "no change is named");
});

await test("texts stay texts", "hostile", {}, async (page) => {
  assert.match(await page.title(), /<img src=x/);
  assert.match(await page.locator("h1").textContent(), /<script>document\.title/);
  assert.equal(await page.locator("img, iframe, object, a, form").count(), 0);
  assert.equal(await page.locator("script").count(), 2);
  for (const button of await page.locator(".what").all()) await button.click();
  for (const summary of await page.locator("summary:visible").all()) await summary.click();
  await page.waitForTimeout(200);
  assert.doesNotMatch(await page.title(), /^hacked/);
  assert.equal(await page.locator("img, iframe, object, a, form").count(), 0);
  await accessible(page);
});

await test("the policy forbids requests and scripts", "incident", {}, async (page) => {
  const blocked = await page.evaluate(async () => {
    const found = [];
    document.addEventListener("securitypolicyviolation", (e) => found.push(e.effectiveDirective));
    await fetch("https://example.invalid/").catch(() => {});
    try {
      document.body.innerHTML = "<p>markup</p>";
    } catch {
      found.push("markup");
    }
    const script = document.createElement("script");
    try {
      script.text = "window.hacked = true";
      document.body.append(script);
    } catch {
      found.push("script");
    }
    await new Promise((done) => setTimeout(done, 100));
    return { found, hacked: window.hacked === true };
  });
  assert.equal(blocked.hacked, false);
  for (const want of ["connect-src", "markup", "script"]) assert.ok(blocked.found.includes(want), `${want} is not blocked`);
  return true;
});

await test("rows open their diffs", "incident", {}, async (page) => {
  const row = page.locator(".what", { hasText: "configmap/web-config#2" });
  await row.click();
  assert.equal(await row.getAttribute("aria-expanded"), "true");
  assert.match(await page.locator("#changes .diff").first().textContent(), /-\s+timeout: 30s/);
  await page.screenshot({ path: join(shots, "opened.png"), fullPage: true });
  await accessible(page);
  await row.click();
  assert.equal(await page.locator("#changes .diff").count(), 0);
});

await test("filters select rows", "incident", {}, async (page) => {
  const all = await rows(page);
  const status = page.locator("#changes [role=status]").first();
  await page.locator("#search").fill("web-config");
  await page.waitForFunction((n) => document.querySelectorAll(".row[data-row]").length < n, all);
  for (const text of await page.locator(".row[data-row]").allTextContents()) assert.match(text, /web-config/);
  assert.match(await status.textContent(), new RegExp(`of ${all}`));
  await page.locator("#search").press("Escape");
  await page.waitForFunction((n) => document.querySelectorAll(".row[data-row]").length === n, all);
  const people = page.locator(".chip", { hasText: "People" });
  await people.click();
  assert.equal(await people.getAttribute("aria-pressed"), "true");
  assert.equal(await page.locator(".row[data-row] .who:not(.person)").count(), 0);
  assert.ok((await rows(page)) > 0);
  await people.click();
  await page.locator("#kind").selectOption("ConfigMap");
  for (const text of await page.locator(".what").allTextContents()) assert.match(text, /^configmap/);
  await page.locator("#search").fill("nothing has this text");
  await page.waitForFunction(() => document.querySelectorAll(".row[data-row]").length === 0);
  await accessible(page);
});

await test("the brush zooms, and selects rows", "incident", {}, async (page) => {
  const all = await rows(page);
  const chart = page.locator(".chart");
  await chart.scrollIntoViewIfNeeded();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width - 60, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 30, box.y + 30, { steps: 4 });
  assert.equal(await page.locator(".chart .brush").count(), 1);
  await page.mouse.up();
  const zoomed = page.locator(".zoomed");
  await zoomed.waitFor();
  const some = await rows(page);
  assert.ok(some < all, `got ${some} of ${all} rows after the brush`);
  await page.screenshot({ path: join(shots, "zoomed.png"), fullPage: true });
  await zoomed.click();
  assert.equal(await rows(page), all);
});

await test("the keyboard reaches everything", "large", {}, async (page) => {
  await page.keyboard.press("?");
  assert.equal(await page.locator("dialog[open]").count(), 1);
  await accessible(page);
  await page.screenshot({ path: join(shots, "help.png") });
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog[open]").count(), 0);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.press("Escape");
  await page.evaluate(() => document.activeElement.blur());
  const focused = () => page.evaluate(() => document.activeElement.closest("[data-row]")?.dataset.row);
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "0");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "1");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-expanded")), "true");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-expanded")), "false");
  await page.keyboard.press("End");
  assert.equal(await focused(), "9999");
  await page.keyboard.press("PageUp");
  assert.equal(await focused(), "9979");
  await page.keyboard.press("Home");
  assert.equal(await focused(), "0");
  // The order of the focus: the switches of the page, the chart, the filters, the rows.
  await page.locator(".zone").focus();
  const order = ["controls"];
  for (let i = 0; i < 24; i++) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.closest(".controls, .chart, .filters, .table")?.className.split(" ").pop() ?? ""));
  }
  const first = ["controls", "chart", "filters", "table"].map((name) => order.indexOf(name));
  assert.ok(first[0] >= 0 && first.every((at, i) => i === 0 || at > first[i - 1]), `the focus is on ${order}`);
  await page.locator(".chart").focus();
  await page.keyboard.press("+");
  await page.locator(".zoomed").waitFor();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Escape");
  await page.locator(".zoomed").waitFor({ state: "hidden" });
});

await test("times switch between UTC and local time", "incident", {}, async (page) => {
  const at = page.locator(".at time").first();
  const utc = await at.textContent();
  await page.locator(".zone").click();
  const local = await at.textContent();
  const hour = (text) => Number(text.match(/(\d\d):\d\d:\d\d/)[1]);
  assert.equal((hour(local) - hour(utc) + 24) % 24, 9, `${utc} in UTC is ${local} in Tokyo`);
  assert.match(await page.locator(".zone").textContent(), /Tokyo/);
});

await test("the theme switches", "incident", {}, async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.locator(".theme").click(); // light
  assert.equal(await background(), light);
  await page.locator(".theme").click(); // dark
  assert.notEqual(await background(), light);
  await accessible(page);
  await page.locator(".theme").click(); // as the system
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await background(), light);
});

await test("the report is copied as Markdown", "incident", {}, async (page) => {
  await page.getByRole("button", { name: "Copy as Markdown" }).click();
  await page.getByText("Copied", { exact: true }).waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /^# What changed in team-13\n[^]*## What is not recorded\n[^]*## Changes\n/);
  assert.ok(text.length < 65_536, `got ${text.length} characters`);
});

await test("prints", "incident", { width: 800 }, async (page) => {
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  assert.equal(await page.locator(".controls").isVisible(), false);
  assert.equal(await page.locator(".filters").isVisible(), false);
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light");
  const pdf = await page.pdf({ path: join(shots, "print.pdf"), format: "A4" });
  assert.ok(pdf.length > 10_000, `got a PDF of ${pdf.length} bytes`);
  await page.screenshot({ path: join(shots, "print.png"), fullPage: true });
});

await test("10,000 changes render and scroll", "large", {}, async (page) => {
  const loading = await page.evaluate(() => window.longTasks.splice(0));
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(nodes < 10_000, `got ${nodes} elements before scrolling, want the rows to be made later`);
  assert.equal(await page.locator("[role=table]").getAttribute("aria-rowcount"), "10001");
  for (let i = 1; i <= 20; i++) {
    await page.evaluate((share) => window.scrollTo(0, document.body.scrollHeight * share), i / 21);
    await page.waitForFunction(() => {
      const e = document.elementFromPoint(400, 450);
      return e && !e.matches(".block:not(.filled)");
    });
  }
  await page.screenshot({ path: join(shots, "large-scrolled.png") });
  const scrolling = await page.evaluate(() => window.longTasks.splice(0));
  await page.locator("#search").fill("service-7 ");
  await page.waitForFunction(() => /of 10,000/.test(document.querySelector("#changes [role=status]").textContent));
  const filtering = await page.evaluate(() => window.longTasks.splice(0));
  const say = (tasks) => `${tasks.length} (longest ${Math.round(Math.max(0, ...tasks))} ms)`;
  console.log(`     long tasks: loading ${say(loading)}, scrolling ${say(scrolling)}, filtering ${say(filtering)}; ${nodes} elements`);
});

await context.close();
rmSync(profile, { recursive: true, force: true });
if (failed > 0) {
  console.log(`${failed} failed`);
  process.exitCode = 1;
}
