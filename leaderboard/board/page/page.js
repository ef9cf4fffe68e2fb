"use strict";
// Everything here adds to a page that can be read without it. Text from records is only ever set as text.
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, text, click) => {
  const element = document.createElement(tag);
  element.textContent = text;
  element.addEventListener("click", click);
  return element;
};
document.documentElement.classList.add("js");

// Sorting: a click on a title; what has no value stays last.
for (const table of all(".board table")) {
  all("th", table).forEach((head, column) => {
    const title = head.textContent;
    head.replaceChildren(make("button", title, () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of all("th", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const number = head.classList.contains("number");
      const key = (body) => body.rows[0].cells[column].dataset.key;
      const bodies = all("tbody", table).sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = number ? x - y : x < y ? -1 : x > y ? 1 : 0;
        return down ? -order : order;
      });
      table.append(...bodies);
    }));
  });
}

// Opening: a click on a cell, or Enter on its row.
function toggle(body, open) {
  const runs = body.querySelector(".runs");
  runs.querySelector("details").open = runs.classList.toggle("open", open);
  body.querySelector(".row").setAttribute("aria-expanded", runs.classList.contains("open"));
}
for (const body of all(".board tbody")) {
  const row = body.querySelector(".row");
  row.tabIndex = 0;
  row.title = "runs of " + body.dataset.model;
  row.setAttribute("aria-expanded", "false");
  row.addEventListener("click", () => toggle(body));
  row.addEventListener("keydown", (event) => event.key === "Enter" && toggle(body));
  body.querySelector("summary").addEventListener("click", (event) => { event.preventDefault(); toggle(body, false); });
}

// Filters.
const chosen = (name) => document.getElementById("by-" + name).value;
function filter() {
  const [task, protocol, hardware] = ["task", "protocol", "hardware"].map(chosen);
  let shown = 0;
  for (const section of all("section.board")) {
    for (const body of all("tbody", section)) body.hidden = hardware !== "" && !body.dataset.hardware.split("\n").includes(hardware);
    const models = new Set(all("tbody:not([hidden])", section).map((body) => body.dataset.model));
    section.hidden = models.size === 0 || (task && section.dataset.task !== task) || (protocol && section.dataset.protocol !== protocol);
    for (const part of all(".figures [data-model]", section)) part.toggleAttribute("hidden", !models.has(part.dataset.model));
    shown += !section.hidden;
  }
  for (const part of all("section.measured, .published [data-task]")) part.hidden = task && part.dataset.task !== task;
  document.getElementById("count").textContent = shown === 1 ? "1 table" : shown + " tables";
  document.getElementById("nothing").hidden = shown > 0;
}
document.getElementById("filters").hidden = false;
document.getElementById("filters").addEventListener("change", filter);
filter();

// Figures: a tooltip and the model's marks in all figures beside; a click opens the runs.
const tip = document.getElementById("tip");
function heat(section, model) {
  for (const part of all("[data-model]", section)) part.classList.toggle("hot", part.dataset.model === model);
  for (const figure of all(".figures", section)) figure.classList.toggle("dimmed", model !== null);
}
for (const section of all("section.board, section.measured")) {
  for (const part of all(".label, .line, .name", section)) {
    part.addEventListener("pointerenter", () => heat(section, part.dataset.model));
    part.addEventListener("pointerleave", () => heat(section, null));
  }
  for (const mark of all(".mark", section)) {
    const says = mark.querySelector("title").textContent;
    mark.querySelector("title").remove();
    mark.setAttribute("aria-label", says);
    mark.addEventListener("pointerenter", () => {
      const at = mark.getBoundingClientRect();
      tip.textContent = says;
      tip.hidden = false;
      tip.style.left = Math.max(4, Math.min(at.left + 12, innerWidth - tip.offsetWidth - 4)) + "px";
      tip.style.top = Math.max(4, at.top - tip.offsetHeight - 8) + "px";
      heat(section, mark.dataset.model);
    });
    mark.addEventListener("pointerleave", () => { tip.hidden = true; heat(section, null); });
    mark.addEventListener("click", () => {
      const home = mark.closest("[data-table]");
      const table = home && document.getElementById(home.dataset.table);
      const body = table && all("tbody", table).find((one) => one.dataset.model === mark.dataset.model);
      if (body) { toggle(body, true); body.scrollIntoView({ block: "nearest" }); }
    });
  }
}
