// Looks at report pages as their readers do: node page.mjs CHROMIUM MODULES SHOTS PAGE…, where MODULES is a node_modules
// and SHOTS a directory for screenshots. Prints one line per page, and one per thing that is wrong; exits with 1 when any is.
import { createServer } from "node:http";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

const [executablePath, modules, shots, ...pages] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// A page from a server can be told from what it asks for; and its icon, had it none, would be one of those.
const server = createServer((request, response) => {
  const page = pages[Number(request.url.slice(1))];
  if (page === undefined) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": "text/html" }).end(readFileSync(page));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const at = (number) => `http://127.0.0.1:${server.address().port}/${number}`;

// As root there is no sandbox to be had; the rest keeps the browser from asking its maker for anything.
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--hide-scrollbars",
];
const browser = await chromium.launch({ executablePath, args });
let wrong = 0;

/** Opens page number `number` for a reader with these habits, and calls `look`. */
const open = async (number, habits, look) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: false, ...habits });
  const page = await context.newPage();
  const check = (right, what) => {
    if (right) return;
    wrong += 1;
    console.log(`${pages[number]}: ${what} (${JSON.stringify(habits)})`);
  };
  page.on("console", (message) => check(false, `the console says: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `an error: ${error}`));
  page.on("dialog", (dialog) => check(false, `a dialog: ${dialog.message()}`));
  page.on("request", (request) => check(request.url() === at(number) || request.url().startsWith("data:"), `it asks for ${request.url()}`));
  await page.goto(at(number));
  await look(page, check);
  await context.close();
};

const shoot = (page, number, name) =>
  page.screenshot({ path: join(shots, `${basename(dirname(pages[number]))}-${name}.png`) });

/** The checker looks at every text in turn; of a page with more cells than this, it has seen the like on another page. */
const MOST_CHECKED = 2000;

/** What an accessibility checker finds. It runs beside the page's policy, not under it. */
const accessible = async (page, check) => {
  if (await page.locator("td[id^=cell]").count() > MOST_CHECKED) return;
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations) {
    check(false, `${id}: ${help}, ${nodes.length} times, first: ${nodes[0].html.slice(0, 200)}: ${nodes[0].failureSummary}`);
  }
};

const noSidewaysScroll = async (page, check) => {
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(widths[0] <= widths[1], `the page is ${widths[0]} wide on a screen of ${widths[1]}`);
};

/** The cells of the record that lies beside the page. */
const cellsOf = (number) => JSON.parse(readFileSync(join(dirname(pages[number]), "run.json"), "utf8")).cells;

for (const number of pages.keys()) {
  const cells = cellsOf(number);
  const trouble = cells.filter((cell) => cell.verdict !== "pass");
  const took = [`${Math.ceil(statSync(pages[number]).size / 1024)} KiB`];

  await open(number, { javaScriptEnabled: false }, async (page, check) => {
    const shown = await page.locator("td[id^=cell]:visible").count();
    check(shown === cells.length, `${shown} of ${cells.length} cells are there without JavaScript`);
    for (const id of ["matrix", "findings", "tests", "coverage", "complexity", "capabilities", "times"]) {
      check(await page.locator(`#${id} > h2`).isVisible(), `no section ${id} without JavaScript`);
    }
    check(await page.locator("#filter").isHidden(), "a filter that does nothing is shown");
    for (const reason of new Set(cells.map((cell) => cell.not_run).filter(Boolean))) {
      // As the page cleans it: one line, nothing that reorders text.
      const one = reason.replace(/[\u200b-\u200f\u2028-\u202e]/g, "").replace(/\s+/g, " ").trim();
      check((await page.locator("#matrix .reasons").textContent()).includes(one), `no reason: ${one}`);
    }
    await noSidewaysScroll(page, check);
  });

  await open(number, {}, async (page, check) => {
    took.push(`loaded in ${await page.evaluate(() => Math.round(performance.getEntriesByType("navigation")[0].loadEventEnd))} ms`);
    await accessible(page, check);
    await shoot(page, number, "light");
    // The keyboard alone: the skip link comes first, `/` goes to the filter, Escape clears it, n goes to a finding.
    await page.keyboard.press("Tab");
    check(await page.evaluate(() => document.activeElement.className) === "skip", "the skip link is not first");
    await page.keyboard.press("Enter");
    check(await page.evaluate(() => document.activeElement.id) === "main", "the skip link skips nothing");
    await page.keyboard.press("/");
    check(await page.evaluate(() => document.activeElement.id) === "words", "`/` does not go to the filter");
    // The first cell that is no plain pass, by its whole name, so that 6.1 is not 6.12.
    const wanted = trouble[0] ?? cells[0];
    if (wanted !== undefined) {
      const words = [wanted.arch, wanted.kernel.name.toLowerCase(), `llvm${wanted.llvm}`];
      await page.keyboard.type(words.join(" "));
      const left = page.locator("td[id^=cell]:visible");
      const ids = await left.evaluateAll((all) => all.map((cell) => cell.id));
      check(ids.length === 1 && ids[0] === `cell${cells.indexOf(wanted)}`, `\`${words.join(" ")}\` leaves ${ids}`);
      check((await page.locator("#found").textContent()).startsWith(`1 of ${cells.length} cells`), "the filter does not count");
      const missing = await page.locator(".finding:visible").evaluateAll((all, place) =>
        all.filter((finding) => !finding.dataset.cells.split(" ").includes(place)).length, String(cells.indexOf(wanted)));
      check(missing === 0, "the filter leaves findings of other cells");
      await page.keyboard.press("Escape");
      check(await left.count() === cells.length, "Escape does not clear the filter");
      await page.evaluate(() => document.getElementById("words").value = "no such wor");
      const began = Date.now();
      await page.keyboard.type("d");
      took.push(`filtered in ${Date.now() - began} ms`);
      check(await left.count() === 0, "the filter finds what is not there");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Tab");
    }
    if (trouble.length > 0) {
      await page.keyboard.press("n");
      check(await page.evaluate(() => document.activeElement.id) === "finding0", "`n` does not go to the first finding");
      await page.keyboard.press("p");
      const last = await page.locator(".finding").count() - 1;
      check(await page.evaluate(() => document.activeElement.id) === `finding${last}`, "`p` does not go to the last finding");
      const folded = page.locator(".finding details").first();
      if (await folded.count() > 0) {
        await folded.locator("summary").first().focus();
        await page.keyboard.press("Enter");
        check(await folded.getAttribute("open") !== null, "a log does not unfold by the keyboard");
      }
    }
    const head = page.locator("#times-cells").locator("xpath=..").locator("thead th").nth(2);
    if (await head.count() > 0) {
      const column = () => page.locator("#times-cells").locator("xpath=..").locator("tbody td:nth-child(3)").allTextContents();
      await head.locator("button").focus();
      await page.keyboard.press("Enter");
      const down = (await column()).map(Number);
      check(down.every((value, index) => index === 0 || down[index - 1] >= value), "the times are not sorted");
      check(await head.getAttribute("aria-sort") === "descending", "the sorting is not said");
      await page.keyboard.press("Enter");
      const up = (await column()).map(Number);
      check(up.every((value, index) => index === 0 || up[index - 1] <= value), "the times are not sorted the other way");
    }
    // Unfolded, everything must still hold.
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    await accessible(page, check);
    check(await page.evaluate(() => globalThis.owned) === undefined, "a script of a guest ran");
  });

  await open(number, { colorScheme: "dark" }, async (page, check) => {
    const [ink, paper] = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.color, style.backgroundColor].map((color) => Math.max(...color.match(/\d+/g).map(Number)));
    });
    check(ink > 200 && paper < 60, "a dark screen is not dark");
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
    await accessible(page, check);
    await page.evaluate(() => document.querySelectorAll(".finding details").forEach((details) => { details.open = false; }));
    await shoot(page, number, "dark");
  });

  for (const colorScheme of ["light", "dark"]) {
    await open(number, { viewport: { width: 360, height: 740 }, colorScheme, isMobile: true, hasTouch: true }, async (page, check) => {
      await noSidewaysScroll(page, check);
      await accessible(page, check);
      const sticks = await page.evaluate(() => [...document.querySelectorAll(".scroll")].every((box) => {
        box.scrollLeft = 60;
        const head = box.querySelector("tbody th");
        return head === null || box.scrollLeft === 0 || Math.abs(head.getBoundingClientRect().left - box.getBoundingClientRect().left) < 2;
      }));
      check(sticks, "a first column does not stay");
      await shoot(page, number, `phone-${colorScheme}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
      await noSidewaysScroll(page, check);
    });
  }
  console.log(`page: ${basename(dirname(pages[number]))}: ${cells.length} cells; ${took.join(", ")}`);
}
await browser.close();
server.close();
process.exit(wrong === 0 ? 0 : 1);
