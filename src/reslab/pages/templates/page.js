"use strict";
// Conveniences only: without this script the page says the same.
document.querySelectorAll(".code").forEach((box) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + box.dataset.purpose);
  button.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(box.querySelector("pre"));
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    // execCommand also works on pages opened from a file, where the clipboard API may not.
    const done = document.execCommand("copy");
    selection.removeAllRanges();
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  box.append(button);
});

// Under the pointer, the legend of a plot shows the values of that epoch.
document.querySelectorAll("figure svg[data-values]").forEach((svg) => {
  const [start, end, low, high] = svg.dataset.box.split(" ").map(Number);
  const [places, ...rows] = svg.dataset.values.split(";").map((row) => row.split(" "));
  const values = svg.closest("figure").querySelectorAll(".legend b");
  const where = svg.closest("figure").querySelector(".where");
  const initial = [...values].map((cell) => cell.textContent);
  const said = where.textContent;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("class", "cursor");
  const at = places.map((place) => start + (Number(place) - low) / (high - low) * (end - start));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let nearest = 0;
    at.forEach((place, i) => { if (Math.abs(place - x) < Math.abs(at[nearest] - x)) nearest = i; });
    line.setAttribute("d", `M${at[nearest]} 12V${svg.viewBox.baseVal.height - 30}`);
    if (!line.parentNode) svg.prepend(line);
    values.forEach((cell, i) => { cell.textContent = rows[i][nearest].replace(/_/g, " "); });
    where.textContent = svg.dataset.x + " " + Math.round(Number(places[nearest]) * 10) / 10;
  });
  svg.addEventListener("pointerleave", () => {
    line.remove();
    values.forEach((cell, i) => { cell.textContent = initial[i]; });
    where.textContent = said;
  });
});

// Tables whose headings sort.
document.querySelectorAll("table.sortable").forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const sign = up ? 1 : -1;
      const order = head.classList.contains("n")
        ? (a, b) => sign * (Number(key(a)) - Number(key(b)))
        : (a, b) => sign * key(a).localeCompare(key(b));
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
});
