"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const [tools, search, area, told, none, open] =
    ["tools", "search", "area", "told", "none", "open"].map(by);
  const rows = [...document.querySelectorAll("#list details")];
  const groups = [...document.querySelectorAll("#list section")];
  const states = [...tools.querySelectorAll("input[type=radio]")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const shown = () => rows.filter((row) => !row.hidden);
  const count = (n) => n.toLocaleString("en") + (n === 1 ? " claim" : " claims");

  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = states.find((state) => state.checked).value;
    rows.forEach((row, at) => {
      row.hidden = !(
        (!status || row.dataset.status === status) &&
        (!area.value || row.dataset.area === area.value) &&
        words.every((word) => texts[at].includes(word))
      );
    });
    const left = shown().length;
    const all = left === rows.length;
    for (const group of groups) {
      group.hidden = !all && !group.querySelector("details:not([hidden])");
    }
    none.hidden = left > 0 || all;
    told.value = all ? count(left) : left.toLocaleString("en") + " of " + count(rows.length);
    label();
  };
  const label = () => {
    const every = shown();
    open.disabled = every.length === 0;
    open.textContent = every.length > 0 && every.every((row) => row.open) ? "Close all" : "Open all";
  };
  const clear = () => {
    search.value = "";
    area.value = "";
    states[0].checked = true;
    apply();
  };
  const follow = () => {
    const target = by(location.hash.slice(1));
    const row = target && target.closest("#list details, #texts details");
    if (!row) return;
    if (row.hidden) clear();
    row.open = true;
    row.scrollIntoView();
    row.querySelector("summary").focus({ preventScroll: true });
  };

  search.addEventListener("input", apply);
  area.addEventListener("change", apply);
  for (const state of states) state.addEventListener("change", apply);
  for (const row of rows) row.addEventListener("toggle", label);
  open.addEventListener("click", () => {
    const every = shown();
    const opens = !every.every((row) => row.open);
    for (const row of every) row.open = opens;
  });
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest("input[type=search], select");
    if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && event.target === search) {
      clear();
    }
  });
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    // The same place again is no change of place.
    const link = event.target.closest("a");
    if (link && link.hash && link.hash === location.hash) follow();
  });
  tools.hidden = false;
  apply();
  follow();
})();
