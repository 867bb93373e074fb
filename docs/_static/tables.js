// Long tables can be sorted by a click on a column's head, longer ones filtered by text.
"use strict";

function value(row, column) {
  const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
  if (/^(unbounded|inf)$/.test(text)) return Infinity;
  const number = parseFloat(text.replace(/,/g, "").replace("\u2212", "-"));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function compare(a, b) {
  const kinds = [typeof a, typeof b];
  if (kinds[0] !== kinds[1]) return kinds[0] === "number" ? -1 : 1; // numbers before words
  return kinds[0] === "number" ? a - b : a.localeCompare(b);
}

function sortBy(table, heads, column) {
  const ascending = heads[column].getAttribute("aria-sort") !== "ascending";
  heads.forEach((h) => h.setAttribute("aria-sort", "none"));
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row, column) }));
  rows.sort((a, b) => (ascending ? 1 : -1) * compare(a.key, b.key) || a.place - b.place);
  body.append(...rows.map((r) => r.row));
}

function prepare(table) {
  const rows = table.tHead && table.tBodies.length ? table.tBodies[0].rows.length : 0;
  if (rows < 10) return;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    head.title = "sort by this column";
    head.addEventListener("click", () => sortBy(table, heads, column));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sortBy(table, heads, column); }
    });
  });
  if (rows < 25) return;
  const filter = document.createElement("input");
  filter.type = "search";
  filter.className = "table-filter";
  filter.placeholder = `filter ${rows} rows`;
  filter.setAttribute("aria-label", "filter rows");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  const around = table.closest(".table-wrapper") || table;
  around.before(filter);
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("table.docutils").forEach(prepare));
