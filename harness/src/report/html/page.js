// What the page can do besides being read: filter, sort, go from finding to finding. Without it, everything is shown.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const words = document.getElementById("words");
  const found = document.getElementById("found");
  const findings = all(".finding");
  const text = (element) => element.textContent.toLowerCase();

  // A word that is the whole name of a kernel, of an architecture or of an LLVM release is meant whole: 6.1 is not 6.12.
  const names = new Set();
  const tokens = (string) => string.split(/[\s/,{}:]+/);

  // Each thing that can match: its text, and what shows or hides it.
  let items = null;
  const collect = () => {
    const grids = all("table.cells, table.marks, table.heat").map((table) => {
      const caption = text(table.caption);
      // The last row of the head has a column's name; in a head of two rows, the first has only the groups' names.
      const last = table.tHead.rows[table.tHead.rows.length - 1];
      const columns = [...last.cells].map((cell) => text(cell).replace(/^llvm (\d+)$/, "llvm$1 $&"));
      const groups = [];
      if (table.tHead.rows.length > 1) {
        for (const cell of [...table.tHead.rows[0].cells].slice(1)) {
          groups.push(...Array(cell.colSpan).fill(text(cell)));
        }
        columns.unshift("");
      }
      let owner = "";
      const bodies = [...table.tBodies].map((body) => ({
        body,
        rows: [...body.rows].map((row) => {
          const heads = all("th", row);
          if (heads[0].rowSpan > 1 || heads[0].scope === "rowgroup") owner = text(heads[0]);
          const head = `${caption} ${owner} ${heads.map(text).join(" ")}`;
          const cells = all("td", row);
          const offset = columns.length - cells.length;
          const texts = cells.map((cell, index) =>
            `${head} ${columns[offset + index]} ${groups[index] || ""} ${text(cell)}`);
          return { row, cells, texts };
        }),
      }));
      return { table, bodies, whole: table.matches(".heat") };
    });
    const lists = all("table.numbers, table.plain").filter((table) => !table.closest(".finding")).map((table) => {
      const caption = text(table.caption);
      return { table, rows: all("tbody tr", table).map((row) => ({ row, text: `${caption} ${text(row)}` })) };
    });
    const cells = new Map();
    for (const { table, bodies } of grids) {
      if (!table.closest("#matrix")) continue;
      names.add(tokens(text(table.caption))[0]);
      for (const { row, cells: tds, texts } of bodies.flatMap((part) => part.rows)) {
        names.add(row.cells[0].firstChild.data.trim().toLowerCase());
        tds.forEach((cell, index) => {
          if (cell.id !== "") cells.set(cell.id.replace("cell", ""), texts[index]);
        });
      }
      for (const head of [...table.tHead.rows[0].cells].slice(1)) names.add(text(head).replace("llvm ", "llvm"));
    }
    const entries = findings.map((article) => ({
      article,
      text: all("h3, :scope > p, :scope > pre", article).map(text).join(" "),
      cells: article.dataset.cells.split(" "),
    }));
    return { grids, lists, cells, entries };
  };

  const filter = () => {
    items ??= collect();
    const wanted = words.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const matches = (string) => wanted.every((word) =>
      names.has(word) ? tokens(string).includes(word) : string.includes(word));
    let shown = 0;
    for (const { table, bodies, whole } of items.grids) {
      let any = false;
      for (const { body, rows } of bodies) {
        let inBody = false;
        for (const { row, cells, texts } of rows) {
          let inRow = false;
          cells.forEach((cell, index) => {
            const hit = wanted.length === 0 || matches(texts[index]);
            cell.classList.toggle("off", !hit);
            inRow ||= hit;
            if (hit && cell.id !== "") shown += 1;
          });
          if (!whole) row.hidden = !inRow;
          inBody ||= inRow;
        }
        if (whole) body.hidden = !inBody;
        any ||= inBody;
      }
      table.parentElement.hidden = !any;
    }
    for (const { table, rows } of items.lists) {
      let any = false;
      for (const { row, text: string } of rows) {
        row.hidden = wanted.length !== 0 && !matches(string);
        any ||= !row.hidden;
      }
      table.parentElement.hidden = !any;
    }
    let told = 0;
    for (const { article, text: string, cells } of items.entries) {
      const hit = wanted.length === 0 || cells.some((cell) => matches(`${string} ${items.cells.get(cell)}`));
      article.hidden = !hit;
      if (hit) told += 1;
    }
    found.value = wanted.length === 0 ? "" :
      `${shown} of ${items.cells.size} cells, ${told} of ${findings.length} findings`;
  };

  // Heads of sortable tables become buttons. Numbers sort as numbers; what is not known comes last.
  const value = (cell) => {
    const string = cell.textContent.trim();
    return /^[\d.]+$/.test(string) ? Number(string) : string === "–" ? null : string;
  };
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  };
  const sort = (table, index, head) => {
    const down = head.getAttribute("aria-sort") !== "descending" && (index > 0 || head.ariaSort === "ascending");
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: value(row.cells[index]) }));
    const sign = down ? -1 : 1;
    rows.sort((one, other) =>
      compare(one.key, other.key) * (one.key === null || other.key === null ? 1 : sign));
    table.tBodies[0].append(...rows.map(({ row }) => row));
  };
  for (const table of all("table.sortable")) {
    [...table.tHead.rows[0].cells].slice(0, -1).forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, index, head));
      head.append(button);
    });
  }

  // A box that does not scroll needs no stop for the keyboard.
  const settle = () => {
    const boxes = all(".scroll").map((box) => [box, box.scrollWidth > box.clientWidth]);
    for (const [box, scrolls] of boxes) {
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // A link into something folded unfolds it.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target === null) return;
    for (let box = target.closest("details"); box !== null; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  };

  const step = (by) => {
    const shown = findings.filter((article) => !article.hidden);
    if (shown.length === 0) return;
    const at = shown.findIndex((article) => article.contains(document.activeElement));
    const next = at === -1 ? (by > 0 ? 0 : shown.length - 1) : (at + by + shown.length) % shown.length;
    shown[next].focus();
    shown[next].scrollIntoView({ block: "start" });
  };
  const keys = document.getElementById("single-keys");
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.activeElement === words) {
      words.value = "";
      filter();
    }
    const typing = event.target.closest("input, textarea, select") !== null && event.target !== keys;
    if (typing || !keys.checked || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "/") words.focus();
    else if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
    else return;
    event.preventDefault();
  });

  const form = document.getElementById("filter");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  words.addEventListener("input", filter);
  addEventListener("hashchange", unfold);
  addEventListener("resize", settle);
  settle();
  unfold();
  if (words.value !== "") filter();
})();
